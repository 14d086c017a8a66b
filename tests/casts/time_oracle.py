"""The second reading of dates and times, see `type_oracle.py`."""

from datetime import UTC, date, datetime, timedelta

type Element = str | tuple[str, int, int]

DIGITS = "0123456789"
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
LONG_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

# Formats, written out by hand: literal text, or (what, fewest digits, most digits), or the name of a word.
LAYOUTS: dict[str, list[Element]] = {
    "dd/MM/yyyy": [("day", 1, 2), "/", ("month", 1, 2), "/", ("year", 4, 4)],
    "%d.%m.%y": [("day", 1, 2), ".", ("month", 1, 2), ".", ("short year", 2, 2)],
    "yyyyMMdd": [("year", 4, 4), ("month", 2, 2), ("day", 2, 2)],
    "d MMM yyyy": [("day", 1, 2), " ", "MONTH", " ", ("year", 4, 4)],
    "MMMM d, yyyy": ["LONG MONTH", " ", ("day", 1, 2), ", ", ("year", 4, 4)],
    "M/d/yyyy h:mm tt": [
        ("month", 1, 2), "/", ("day", 1, 2), "/", ("year", 4, 4), " ",
        ("half hour", 1, 2), ":", ("minute", 1, 2), " ", "HALF",
    ],
    "yyyy-MM-ddTHH:mm:ss.fffffffK": [
        ("year", 4, 4), "-", ("month", 1, 2), "-", ("day", 1, 2), "T",
        ("hour", 1, 2), ":", ("minute", 1, 2), ":", ("second", 1, 2), ".", ("fraction", 1, 9), "OFFSET",
    ],
    "yyyyMMddHHmmssfff": [
        ("year", 4, 4), ("month", 2, 2), ("day", 2, 2),
        ("hour", 2, 2), ("minute", 2, 2), ("second", 2, 2), ("fraction", 1, 6),
    ],
    "%a %b %d %H:%M:%S %z %Y": [
        "DAY", " ", "MONTH", " ", ("day", 1, 2), " ", ("hour", 1, 2), ":", ("minute", 1, 2),
        ":", ("second", 1, 2), " ", "OFFSET", " ", ("year", 4, 4),
    ],
    "yyyy'年'M'月'd'日'": [("year", 4, 4), "年", ("month", 1, 2), "月", ("day", 1, 2), "日"],
}  # fmt: skip


class RefusedError(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def read_date(text: str) -> date:
    shape = "".join("9" if letter in DIGITS else letter for letter in text)
    if shape != "9999-99-99":
        raise RefusedError("NotADate")
    try:
        return date(int(text[:4]), int(text[5:7]), int(text[8:]))
    except ValueError:
        raise RefusedError("NotADate") from None


def read_time(text: str) -> datetime:
    try:
        day = read_date(text[:10])
    except RefusedError:
        raise RefusedError("NotADateTime") from None
    rest = text[10:]
    clock, offset = rest[1:], timedelta()
    if not rest:
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    if rest[0] not in "Tt ":
        raise RefusedError("NotADateTime")
    for at, letter in enumerate(clock):
        if letter in "Zz+-":
            offset = read_offset(clock[at:].upper(), "NotADateTime")
            clock = clock[:at]
            if clock.endswith(" "):
                clock = clock[:-1]
            break
    clock, point, fraction = clock.partition(".")
    shape = "".join("9" if letter in DIGITS else letter for letter in clock)
    if shape not in {"99:99", "99:99:99"} or (point and (shape == "99:99" or not is_digits(fraction))):
        raise RefusedError("NotADateTime")
    hour, minute, second = (int(part) for part in [*clock.split(":"), "0"][:3])
    if hour > 23 or minute > 59 or second > 59:
        raise RefusedError("NotADateTime")
    if fraction[6:].strip("0"):
        raise RefusedError("TooPrecise")
    local = datetime(day.year, day.month, day.day, hour, minute, second, int(fraction[:6].ljust(6, "0")), tzinfo=UTC)
    return shifted(local, offset)


def shifted(local: datetime, offset: timedelta) -> datetime:
    try:
        return local - offset
    except OverflowError:
        raise RefusedError("OutOfRange") from None


def read_offset(text: str, code: str) -> timedelta:
    if text == "Z":
        return timedelta()
    digits = text[1:].replace(":", "", 1) if len(text) == 6 and text[3] == ":" else text[1:]
    if text[:1] not in {"+", "-"} or not is_digits(digits) or len(digits) not in {2, 4}:
        raise RefusedError(code)
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or "0"))
    if offset > timedelta(hours=14) or int(digits[2:] or "0") > 59:
        raise RefusedError(code)
    return offset if text[0] == "+" else -offset


def read_declared_date(text: str, specifier: str) -> date:
    try:
        moment = read_declared_time(text, specifier)
    except RefusedError:
        raise RefusedError("NotADate") from None
    if moment.timetz() != datetime(1, 1, 1, tzinfo=UTC).timetz():
        raise RefusedError("TooPrecise")
    return moment.date()


def read_declared_time(text: str, specifier: str) -> datetime:
    found, left = {"hour": 0, "minute": 0, "second": 0, "fraction": 0}, text
    offset = timedelta()
    half = None
    for element in LAYOUTS[specifier]:
        if isinstance(element, tuple):
            what, fewest, most = element
            digits = ""
            while len(digits) < most and left[:1] and left[0] in DIGITS:
                digits, left = digits + left[0], left[1:]
            if len(digits) < fewest:
                raise RefusedError("NotADateTime")
            found[what] = int(digits[:6].ljust(6, "0")) if what == "fraction" else int(digits)
        elif element in {"MONTH", "LONG MONTH", "DAY", "HALF"}:
            names = {"MONTH": MONTHS, "LONG MONTH": LONG_MONTHS, "DAY": DAYS, "HALF": ["am", "pm"]}[element]
            number = next((n for n, name in enumerate(names) if left[: len(name)].lower() == name), None)
            if number is None:
                raise RefusedError("NotADateTime")
            left = left[len(names[number]) :]
            if element == "HALF":
                half = number
            elif element != "DAY":
                found["month"] = number + 1
        elif element == "OFFSET":
            end = 0
            while end < len(left) and left[end] in "Z+-:0123456789":
                end += 1
            offset, left = (read_offset(left[:end], "NotADateTime") if end else timedelta()), left[end:]
        elif left.startswith(element):
            left = left[len(element) :]
        else:
            raise RefusedError("NotADateTime")
    if left:
        raise RefusedError("NotADateTime")
    if "short year" in found:
        found["year"] = found["short year"] + (2000 if found["short year"] < 69 else 1900)
    if half is not None:
        if not 1 <= found["half hour"] <= 12:
            raise RefusedError("NotADateTime")
        found["hour"] = found["half hour"] % 12 + 12 * half
    try:
        day = datetime(found["year"], found["month"], found["day"], tzinfo=UTC)
        local = day.replace(hour=found["hour"], minute=found["minute"], second=found["second"])
    except ValueError:
        raise RefusedError("NotADateTime") from None
    return shifted(local.replace(microsecond=found["fraction"]), offset)


def is_digits(text: str) -> bool:
    return bool(text) and all(letter in DIGITS for letter in text)
