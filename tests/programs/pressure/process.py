"""What the system says of a running process."""

import os


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        # The name in brackets may hold spaces; utime and stime are fields 14 and 15.
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_kib(pid, name="VmRSS"):
    with open(f"/proc/{pid}/status") as status:
        lines = [line for line in status if line.startswith(name + ":")]
    return int(lines[0].split()[1])


def forget_peak(pid):
    """From now on VmHWM is the peak since now."""
    with open(f"/proc/{pid}/clear_refs", "w") as refs:
        refs.write("5")
