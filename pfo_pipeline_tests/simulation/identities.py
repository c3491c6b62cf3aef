"""The linked accounts that are the same account, from the plan: their true identity, and what the bank reported."""

from datetime import UTC, datetime

from pfo_pipeline_tests.simulation.play import Played


class Identities:
    """Identities of the accounts in the ledger, by the bank's own ids."""

    def __init__(self, played: Played) -> None:
        self._played = played
        self._real = played.world.bank_accounts
        self._order = sorted(played.book.accounts, key=lambda number: played.book.first_seen[number])

    def root(self, number: int, known_at: datetime | None = None) -> int:
        """The account whose id and history a linked one has, as decided until `known_at`."""
        decided = self._played.decisions.get(number)
        if decided is not None and (known_at is None or decided.at <= known_at):
            return number if decided.joined_to is None else self.root(decided.joined_to, known_at)
        same = [other for other in self._order if self._is_told(other, number)]
        first = same[0] if same else number
        return first if known_at is None or self._known_since(number) <= known_at else number

    def proposed(self) -> set[tuple[int, int]]:
        """(account, the account that it may be): with too little evidence, and undecided."""
        found = set()
        for number in self._order:
            if number in self._played.decisions:
                continue
            others = [n for n in self._order if n != number and self._may_be(number, n)]
            if others:
                found.add((number, self.root(others[0])))
        return found

    def _is_told(self, one: int, other: int) -> bool:
        """Whether both are one account, and the bank has reported the same number or IBAN for both."""
        first, second = self._real[one], self._real[other]
        return first.bank_account == second.bank_account and (first.number, first.iban) == (second.number, second.iban)

    def _may_be(self, new: int, old: int) -> bool:
        """Whether one replaced another that is gone, with less evidence than that one had."""
        first, second = self._real[new], self._real[old]
        is_same = first.bank_account == second.bank_account and not self._is_told(new, old)
        return is_same and first.iban is None and old in self._order and self._was_seen_in_place_of(new, old)

    def _was_seen_in_place_of(self, new: int, old: int) -> bool:
        versions = self._played.book.versions
        gone = any(number == old and (version.deleted or version.missing) for number, _, version in versions)
        return gone and any(number == new and version.deleted is None for number, _, version in versions)

    def _known_since(self, number: int) -> datetime:
        reading = self._played.book.afterwards[self._played.book.first_seen[number][0]].reading
        return reading.now.astimezone(UTC)
