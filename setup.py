from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

DEPLOY = ["fabric>=3.2,<4"]
BENCH = ["numpy>=2", "matplotlib>=3.9"]
CELERY = ["celery>=5.6,<6"]
STREAMS = ["pyzmq>=25", "PyJWT>=2.8,<3"]


class Build(build_py):
    """production.ini lives at the top level, where its readers look for it. `tweeter init` needs it, too."""

    def run(self):
        super().run()
        if not self.editable_mode:
            self.copy_file("production.ini", f"{self.build_lib}/tweeter/production.ini")


setup(
    name="tweeter",
    version="0.1.0",
    description="A microblog whose timelines are answered by interchangeable backends",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license_expression="MIT",
    classifiers=[
        "Framework :: Pyramid",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Internet :: WWW/HTTP :: WSGI :: Application",
    ],
    python_requires=">=3.11",
    # The migrations live at the top level, where Alembic's users look for them, and are shipped
    # in the wheel as tweeter.migrations.
    packages=[
        *find_packages(include=["tweeter", "tweeter.*"]),
        "tweeter.migrations",
        "tweeter.migrations.versions",
    ],
    package_dir={"tweeter.migrations": "alembic"},
    package_data={
        "tweeter": [
            "py.typed",
            "web/templates/**/*",
            "web/static/**/*",
            "bench/report/*.jinja2",
            "bench/report/*.css",
            "bench/animation/*.jinja2",
            "bench/animation/*.css",
            "bench/animation/*.js",
            "lab/*.toml",
            "lab/*.json",
            "cli/demo/*.toml",
        ],
        "tweeter.migrations": ["script.py.mako"],
    },
    install_requires=[
        "pyramid>=2.1,<3",
        # Pyramid 2.1 imports pkg_resources, which setuptools 82 dropped and 80.9 warns about.
        "setuptools>=78.1.1,<80.9",
        "plaster_pastedeploy>=1.0.1",
        "waitress>=3.0.2",
        "SQLAlchemy>=2.0.36,<2.2",
        "zope.sqlalchemy>=4.1",
        "zope.interface>=7.2",
        "transaction>=5.0",
        "pyramid_tm>=2.6",
        "pyramid_retry>=2.1.1",
        "pyramid_jinja2>=2.10.1",
        "Jinja2>=3.1.6",
        "alembic>=1.16",
        "redis[hiredis]>=8,<9",
        "pymemcache>=4.0,<5",
        # Connection.wait has a timeout since then.
        "psycopg[binary]>=3.3.9",
        "argon2-cffi>=25.1",
        "msgspec>=0.19",
        "oauthlib>=3.2.2,<5",
        # Compression: brotli for static files, gzip at a quarter of zlib's time for pages.
        "brotli>=1.1,<2",
        "isal>=1.7,<2",
        "regex>=2024.4",
        "limits>=5.6",
        "prometheus-client>=0.21",
        "structlog>=24",
        "rich>=13",
    ],
    extras_require={
        # Graphs and plots of `tweeter bench`.
        "bench": BENCH,
        # Workers for large fan-outs: `tweeter.delivery = celery`.
        "celery": CELERY,
        # Streams by Pushpin: `tweeter.pushpin`.
        "streams": STREAMS,
        "dev": ["pyramid_debugtoolbar>=4.12", *BENCH],
        "testing": [
            *CELERY,
            *STREAMS,
            "websocket-client>=1.8",
            "webtest>=3.0.7",
            "pytest>=8.3",
            "pytest-xdist>=3.7",
            "coverage>=7.10",
            "hypothesis>=6.100",
            "playwright>=1.50",
            "axe-playwright-python>=0.1.4",
            "build>=1.2",
            "trustme>=1.1",
            # Clients of the API.
            "Mastodon.py>=2.1,<3",
            "toot>=0.51,<0.60",
            "openapi-spec-validator>=0.7,<1",
            "schemathesis>=4.20,<5",
            *DEPLOY,
        ],
        # fabfile.py
        "deploy": DEPLOY,
        "lint": [
            "ruff>=0.14",
            "mypy>=1.15,<2.5",
            "mypy-zope>=1.0.13",
            "types-WebOb",
        ],
    },
    cmdclass={"build_py": Build},
    entry_points={
        "paste.app_factory": ["main = tweeter:main"],
        "console_scripts": ["tweeter = tweeter.cli:main"],
    },
)
