"""Crash reports to Sentry, only when a DSN is given; without one the library is not even imported.

Nothing of a frame's variables leaves, and every string of a report passes the register of secrets. Nursery errors are
not reported by themselves: the supervisor does it at its edge, inside the scope of the cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
import trio

from daemon.config.secrets import Secret, Secrets

if TYPE_CHECKING:
    from sentry_sdk.transport import Transport

log = structlog.get_logger()
FLUSH_TIMEOUT_S = 2.0


class Reports:
    """The way to Sentry. Off (`dsn` None or empty) it does nothing, at no cost."""

    def __init__(
        self,
        dsn: Secret | None,
        secrets: Secrets,
        *,
        environment: str,
        release: str,
        server_name: str = "basisd",
        transport: type[Transport] | None = None,
    ) -> None:
        self._secrets = secrets
        self.enabled = bool(dsn)
        self.captured = 0
        if dsn:
            secrets.add(dsn)
            try:
                self._begin(dsn, environment, release, server_name, transport)
            except Exception as error:  # the edge: whatever is wrong with reports, trading does not depend on them
                self.enabled = False
                log.error("reports.off", reason=type(error).__name__, expected="a Sentry DSN in BASIS_SENTRY_DSN")

    def _begin(
        self, dsn: Secret, environment: str, release: str, server_name: str, transport: type[Transport] | None
    ) -> None:
        import sentry_sdk  # 0.2 s and 25 MB that a daemon without a DSN does not pay

        sentry_sdk.init(
            dsn=dsn.reveal(),
            environment=environment,
            release=release,
            server_name=server_name,
            transport=transport,
            include_local_variables=False,
            spotlight=False,  # its variable would turn personal data on; the option for those is off when left out
            default_integrations=False,
            auto_enabling_integrations=False,
            auto_session_tracking=False,
            send_client_reports=False,
            enable_metrics=False,
            propagate_traces=False,
            shutdown_timeout=0,
            before_send=self._scrubbed,
            before_breadcrumb=self._scrubbed,
        )

    def statistics(self) -> Mapping[str, int]:
        return {"captured": self.captured}

    @contextmanager
    def scope(self, **tags: str) -> Iterator[None]:
        """Reports from inside carry these tags (strategy, mode); those of cells that run at the same time do not."""
        if not self.enabled:
            yield
            return
        import sentry_sdk

        with sentry_sdk.isolation_scope() as scope:
            for name, value in tags.items():
                scope.set_tag(name, value)
            yield

    def capture(self, error: BaseException, **facts: object) -> None:
        """Queues a report of an error; an ExceptionGroup goes with everything in it."""
        if not self.enabled:
            return
        import sentry_sdk

        self.captured += 1
        with sentry_sdk.new_scope() as scope:
            scope.set_context("facts", {name: repr(value) for name, value in facts.items()})
            sentry_sdk.capture_exception(error)

    def trail(self, message: str, **facts: str) -> None:
        """A breadcrumb: shown with the next report of the same scope."""
        if self.enabled:
            import sentry_sdk

            sentry_sdk.add_breadcrumb(category="basisd", message=message, data=dict(facts))

    def flush(self, timeout_s: float = FLUSH_TIMEOUT_S) -> None:
        """Sends what is queued, at most `timeout_s`, where no event loop is left to wait in."""
        if self.enabled:
            import sentry_sdk

            self.enabled = False
            sentry_sdk.get_client().close(timeout=timeout_s)

    async def close(self, timeout_s: float = FLUSH_TIMEOUT_S) -> None:
        """Sends what is queued, at most `timeout_s`, in a thread; afterwards nothing is reported."""
        if not self.enabled:
            return
        import sentry_sdk

        self.enabled = False
        client = sentry_sdk.get_client()
        await trio.to_thread.run_sync(partial(client.close, timeout=timeout_s))

    def _scrubbed(self, event: Any, _hint: Any) -> Any:
        return self._secrets.scrub_tree(event)


__all__ = ["Reports"]
