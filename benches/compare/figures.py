"""Figures of the three proxies, held against each other."""

from statistics import median

TITLES = {"nginx": "nginx", "haproxy": "HAProxy", "ours": "dqe-proxy"}


class Figures:
    """One row's figures: for each proxy one value per round. Ratios are taken
    inside a round, where the machine was the same for all, and the median of
    the rounds is what counts."""

    def __init__(self, values, errors=0, others=None, has_ratios=True):
        self.values = values
        self.errors = errors
        self.others = others
        # Percentages have none worth reading.
        self.has_ratios = has_ratios

    def median(self, name):
        known = self.values.get(name)
        return median(known) if known else None

    def ratio(self, peer):
        """Ours over a peer's, or over the lesser of all peers' (`better`)."""
        peers = [name for name in self.values if name != "ours"] if peer == "better" else [peer]
        series = [self.values[name] for name in peers if self.values.get(name)]
        ours = self.values.get("ours")
        if not self.has_ratios or not ours or not series or (peer == "better" and len(series) < 2):
            return None
        least = [min(of_round) for of_round in zip(*series)]
        # A difference of times can come out at nothing; then there is no ratio.
        ratios = [mine / theirs for mine, theirs in zip(ours, least) if theirs > 0]
        return median(ratios) if ratios else None


def head():
    names = " | ".join(TITLES.values())
    return (
        f"| | {names} | ÷ nginx | ÷ HAProxy | bar | | others |\n"
        f"|---|{'---:|' * len(TITLES)}---:|---:|---|---|---:|"
    )


def line(title, figures, bar):
    """One line of the table, and whether its bar is met (`None`: there is none)."""
    met = False if figures.errors else bar.is_met(figures)
    verdict = {None: "", True: "met", False: "**missed**"}[met]
    if figures.errors:
        verdict = f"**{figures.errors} errors**"
    cells = [title, *(number(figures.median(name)) for name in TITLES)]
    cells += [ratio(figures.ratio("nginx")), ratio(figures.ratio("haproxy")), str(bar), verdict]
    cells.append("" if figures.others is None else f"{figures.others:.2f}")
    return "| " + " | ".join(cells) + " |", met


def number(value):
    if value is None:
        return ""
    decimals = 0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 2
    return f"{value:.{decimals}f}"


def ratio(value):
    return "" if value is None else f"{value:.2f}"
