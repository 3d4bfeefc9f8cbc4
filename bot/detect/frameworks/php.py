"""Frameworks of PHP: rows are found by Composer package, some by files that only they have."""

from __future__ import annotations

from bot.detect.frameworks.model import Framework


def _php(name: str, *packages: str, weight: int, supersedes: tuple[str, ...] = ()) -> Framework:
    return Framework(name, "php", packages, supersedes=supersedes, port=8080, weight=weight)


PHP: tuple[Framework, ...] = (
    _php("laravel", "laravel/framework", weight=50, supersedes=("symfony", "slim")),
    _php("lumen", "laravel/lumen-framework", weight=52, supersedes=("laravel", "symfony")),
    _php(
        "drupal",
        *("drupal/core", "drupal/core-recommended", "drupal/drupal", "drupal/cms", "drupal/core-composer-scaffold"),
        weight=60,
        supersedes=("symfony",),
    ),
    _php(
        "wordpress",
        *("roots/wordpress", "roots/wordpress-no-content", "roots/wordpress-full", "roots/bedrock"),
        *("johnpbloch/wordpress", "johnpbloch/wordpress-core"),
        weight=55,
        supersedes=("laravel",),
    ),
    _php("symfony", "symfony/framework-bundle", "symfony/symfony", weight=40),
    _php("cakephp", "cakephp/cakephp", weight=40),
    _php("codeigniter", "codeigniter4/framework", "codeigniter4/codeigniter4", "codeigniter/framework", weight=40),
    _php("yii", "yiisoft/yii2", "yiisoft/yii", "yiisoft/yii-runner-http", "yiisoft/yii-http", weight=40),
    _php(
        "laminas",
        *("laminas/laminas-mvc", "mezzio/mezzio", "laminas/laminas-mvc-skeleton", "zendframework/zend-mvc"),
        *("zendframework/zendframework", "zendframework/zend-expressive", "laminas-api-tools/api-tools"),
        weight=40,
    ),
    _php("slim", "slim/slim", weight=30),
)

# files that nothing else has, the name of the framework, its docroot ("" is the root)
MARKS: tuple[tuple[str, str, str], ...] = (
    ("wp-load.php", "wordpress", ""),
    ("wp-config.php", "wordpress", ""),
    ("wp-config-sample.php", "wordpress", ""),
    ("web/wp-config.php", "wordpress", "web"),
    ("public/wp-load.php", "wordpress", "public"),
    ("src/wp-load.php", "wordpress", "src"),
    ("web/core/lib/Drupal.php", "drupal", "web"),
    ("docroot/core/lib/Drupal.php", "drupal", "docroot"),
    ("core/lib/Drupal.php", "drupal", ""),
    ("modules/system/system.module", "drupal", ""),
    ("system/core/CodeIgniter.php", "codeigniter", ""),
    ("system/CodeIgniter.php", "codeigniter", "public"),
    ("framework/yii.php", "yii", ""),
    ("lib/Cake/bootstrap.php", "cakephp", "app/webroot"),
)
# files that others may have as well, what stands in them, the name of the framework, its docroot: where nothing is sure
CONTENTS: tuple[tuple[str, str, str, str], ...] = (
    ("bootstrap/app.php", r"Laravel\\Lumen\b", "lumen", "public"),
    ("artisan", r"", "laravel", "public"),
    ("bin/cake", r"", "cakephp", "webroot"),
    ("spark", r"", "codeigniter", "public"),
    ("config/bundles.php", r"Symfony\\Bundle\\", "symfony", "public"),
    ("index.php", r"core/CodeIgniter\.php", "codeigniter", ""),
    ("index.php", r"\bDRUPAL_ROOT\b|\bdrupal_bootstrap\(", "drupal", ""),
    ("index.php", r"wp-blog-header\.php", "wordpress", ""),
)
DOCROOTS = {
    "laravel": ("public",),
    "lumen": ("public",),
    "symfony": ("public", "web"),
    "slim": ("public",),
    "laminas": ("public",),
    "codeigniter": ("public",),
    "cakephp": ("webroot", "app/webroot"),
    "yii": ("web", "public", "frontend/web"),
    "drupal": ("web", "docroot", "html"),
}
