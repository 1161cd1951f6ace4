"""What every source yields."""

from dataclasses import dataclass

from shared.messages import MatrixReference


@dataclass(frozen=True, slots=True)
class Project:
    """A project and all its matrices, of every species."""

    project_id: str
    matrices: tuple[MatrixReference, ...]


@dataclass(frozen=True, slots=True)
class Unusable:
    """Something the source lists that cannot be summarised: its name there, a reason code, and what is wrong."""

    name: str
    code: str
    reason: str

    @property
    def project_id(self) -> str:
        """The project that the name claims to belong to."""
        return self.name.partition(".")[0]


Candidate = Project | Unusable
