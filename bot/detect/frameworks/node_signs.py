"""What shows which framework of Node a package uses, beside its dependencies: pure data, like the table."""

from __future__ import annotations

# programs of one framework, as scripts run them
PROGRAMS: dict[str, str] = {
    "next": "next.js",
    "nuxt": "nuxt",
    "nuxi": "nuxt",
    "gatsby": "gatsby",
    "astro": "astro",
    "remix": "remix",
    "react-router": "react-router",
    "docusaurus": "docusaurus",
    "vitepress": "vitepress",
    "vuepress": "vuepress",
    "vuepress-vite": "vuepress",
    "eleventy": "eleventy",
    "@11ty/eleventy": "eleventy",
    "hexo": "hexo",
    "ng": "angular",
    "ember": "ember",
    "expo": "expo",
    "vite": "vite",
    "parcel": "parcel",
    "react-scripts": "react",
    "craco": "react",
    "react-app-rewired": "react",
    "vue-cli-service": "vue",
    "preact": "preact",
    "nest": "nestjs",
    "strapi": "strapi",
    "rw": "redwood",
    "redwood": "redwood",
    "nitro": "nitro",
    "nitropack": "nitro",
    "qwik": "qwik",
    "sails": "sails",
    "solid-start": "solidstart",
    "svelte-kit": "sveltekit",
    "remix-serve": "remix",
    "fastify": "fastify",
    "adonis": "adonisjs",
}

# what builds pages that are written with one of the libraries for them
PLUGINS: dict[str, str] = {
    "@vitejs/plugin-vue": "vue",
    "@vue/cli-service": "vue",
    "vue-loader": "vue",
    "@vitejs/plugin-vue2": "vue",
    "@vitejs/plugin-react": "react",
    "@vitejs/plugin-react-swc": "react",
    "react-scripts": "react",
    "@sveltejs/vite-plugin-svelte": "svelte",
    "svelte-loader": "svelte",
    "rollup-plugin-svelte": "svelte",
    "vite-plugin-solid": "solid",
    "@preact/preset-vite": "preact",
    "preact-cli": "preact",
}

# configuration files, without their ending
CONFIGS: dict[str, str] = {
    "next.config": "next.js",
    "nuxt.config": "nuxt",
    "svelte.config": "sveltekit",
    "astro.config": "astro",
    "gatsby-config": "gatsby",
    "docusaurus.config": "docusaurus",
    "react-router.config": "react-router",
    "remix.config": "remix",
    "nest-cli": "nestjs",
    "angular": "angular",
    "vite.config": "vite",
    "redwood": "redwood",
    "adonisrc": "adonisjs",
}

# words in the names of Nx's executors
EXECUTORS: dict[str, str] = {
    "next": "next.js",
    "angular": "angular",
    "angular-devkit": "angular",
    "remix": "remix",
    "expo": "expo",
    "nuxt": "nuxt",
    "nest": "nestjs",
    "gatsby": "gatsby",
}
