"""Checks that a database answers, since libraries retry for minutes.

Imports nothing heavy.
"""

from typing import TYPE_CHECKING

from depthlab.address import Address
from depthlab.config.errors import UserError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

CONNECT_SECONDS = 5
KINDS = ("postgresql", "mysql", "mariadb", "mssql")
PACKAGES = {  # module of a driver -> what pip installs
    "MySQLdb": "mysqlclient",
    "psycopg": "'depthlab[postgresql]'",
    "psycopg2": "psycopg2-binary",
    "mariadb": "mariadb",
    "pyodbc": "pyodbc",
}


def check_database(address: Address) -> None:
    """Connect and close.

    Raises:
        UserError: the driver is missing, or the database does not answer or refuses.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    named = f"{address.setting}={address}"
    try:
        url = usable(address)
        waiting = {"connect_args": {"timeout": CONNECT_SECONDS}} if url.drivername.startswith("mssql") else {}
        create_engine(url, poolclass=NullPool, **waiting).connect().close()
    except ImportError as error:
        raise UserError(missing_driver(address, error)) from None
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise UserError(f"{named} is not the address of a database: {address.hide(first_line(error))}") from None
    except SQLAlchemyError as error:
        raise UserError(f"no database answers at {named}: {address.hide(first_line(error))}") from None


def usable(address: Address) -> "URL":
    """The address with a connection timeout, if it has none."""
    from sqlalchemy.engine import make_url

    url = make_url(address.secret)
    if url.get_backend_name() in ("postgresql", "mysql", "mariadb") and "connect_timeout" not in url.query:
        return url.update_query_dict({"connect_timeout": str(CONNECT_SECONDS)})
    return url


def missing_driver(address: Address, error: ImportError) -> str:
    """The sentence for a driver that cannot be imported."""
    module = (error.name or address.scheme.partition("+")[2] or "psycopg").partition(".")[0]
    package = PACKAGES.get(module, module)
    return f"{address.setting}={address} needs a driver that is not installed: pip install {package}"


def first_line(error: Exception) -> str:
    """The first line of an error message; the type if there is no message."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
