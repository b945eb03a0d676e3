"""Long work in the background, one job at a time, with progress."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

from markupsafe import Markup

from tweeter.errors import Refused

log = logging.getLogger(__name__)


@dataclass
class Phase:
    """A part of the work: `done` of `total` steps. `note` adds what the numbers don't show."""

    name: str
    total: int
    unit: str = ""
    done: int = 0
    seconds: float = 0.0
    note: str = ""
    began: float = field(default_factory=perf_counter)

    def advance(self, steps: int) -> None:
        """Counts steps, and the time since the phase began."""
        self.done += steps
        self.seconds = perf_counter() - self.began

    @property
    def share(self) -> float:
        """The progress in percent."""
        return min(100.0, 100 * self.done / self.total) if self.total else 100.0

    @property
    def rate(self) -> float | None:
        """Steps per second; None if there were too few to tell."""
        return self.done / self.seconds if self.done > 1 and self.seconds > 0.0005 else None


@dataclass
class Job:
    """The current or the last job. `look` updates its phases; some continue after its end."""

    title: str
    phases: list[Phase] = field(default_factory=list)
    look: Callable[[], None] = lambda: None
    plot: Callable[[], Markup] = Markup  # empty, unless the job draws one
    error: str = ""
    noise: str = ""  # why its figures allow no conclusion
    running: bool = True

    def phase(self, name: str, total: int, unit: str = "") -> Phase:
        """Starts another phase; several may run at once."""
        self.phases.append(Phase(name, total, unit))
        return self.phases[-1]


class Jobs:
    """Runs one job at a time, in a thread."""

    def __init__(self) -> None:
        self.current: Job | None = None
        self._lock = threading.Lock()

    def start(self, title: str, work: Callable[[Job], None]) -> Job:
        """Starts a job. Raises Refused while another runs."""
        with self._lock:
            if self.current is not None and self.current.running:
                raise Refused(f"The lab is busy: {self.current.title}. Wait until it is done.")
            job = self.current = Job(title)
        threading.Thread(target=self._run, args=(job, work), name="lab job", daemon=True).start()
        return job

    def _run(self, job: Job, work: Callable[[Job], None]) -> None:
        try:
            work(job)
        except Refused as error:
            job.error = str(error)
        except Exception as error:
            log.exception("%s failed", job.title)
            job.error = f"It failed: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        finally:
            job.running = False
