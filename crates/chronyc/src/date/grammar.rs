//! Items of dates (chronyc chapter, section 10.2): from left to right with one token of
//! look-ahead and no way back, each item as long as it can get.

use super::lexer::{Token, Unit};

/// A time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeOfDay {
    pub(super) hour: i64,
    pub(super) minute: i64,
    /// None: the second of the present time (quirk of `H:M` with a zone).
    pub(super) second: Option<i64>,
    /// am (false) or pm (true).
    pub(super) meridian: Option<bool>,
}

/// A date; parts not given are those of today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: Option<i64>,
    pub(super) month: i64,
    pub(super) day: i64,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DayOfWeek {
    pub(super) ordinal: i64,
    /// 0 is Sunday.
    pub(super) day: i64,
}

/// Amounts to add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Relative {
    pub(super) years: i64,
    pub(super) months: i64,
    pub(super) days: i64,
    pub(super) hours: i64,
    pub(super) minutes: i64,
    pub(super) seconds: i64,
}

/// All items of a text.
#[derive(Clone, Debug, Default)]
pub(super) struct Items {
    pub(super) time: Option<TimeOfDay>,
    /// Minutes west.
    pub(super) zone: Option<i64>,
    pub(super) date: Option<Date>,
    pub(super) day: Option<DayOfWeek>,
    pub(super) relative: Option<Relative>,
}

/// Collects the items; `None` if the text is not valid.
pub(super) fn parse(tokens: &[Token]) -> Option<Items> {
    let mut parser = Parser {
        tokens,
        items: Items::default(),
    };
    while let Some(token) = parser.next() {
        parser.item(token)?;
    }
    Some(parser.items)
}

struct Parser<'t> {
    tokens: &'t [Token],
    items: Items,
}

/// Sets an item that may occur once.
fn set<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

impl Parser<'_> {
    fn peek(&self) -> Option<Token> {
        self.tokens.first().copied()
    }

    fn next(&mut self) -> Option<Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(*first)
    }

    /// Takes the next token if it is `wanted`.
    fn accept(&mut self, wanted: Token) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.next();
        }
        found
    }

    fn unsigned(&mut self) -> Option<i64> {
        match self.next()? {
            Token::Unsigned(number) => Some(number.into()),
            _ => None,
        }
    }

    fn item(&mut self, first: Token) -> Option<()> {
        match first {
            Token::Zone(west) => {
                let daylight = self.accept(Token::Dst);
                set(&mut self.items.zone, west - if daylight { 60 } else { 0 })
            }
            Token::DaylightZone(west) => set(&mut self.items.zone, west - 60),
            Token::Day(day) => {
                self.accept(Token::Character(','));
                set(&mut self.items.day, DayOfWeek { ordinal: 1, day })
            }
            Token::Month(month) => self.month_first(month),
            Token::Unit(unit) => self.relative(1, unit),
            Token::Signed(number) => match self.next()? {
                Token::Unit(unit) => self.relative(number.into(), unit),
                _ => None,
            },
            Token::Unsigned(number) => self.number_first(number.into()),
            Token::Meridian(_) | Token::Dst | Token::Ago | Token::Character(_) => None,
        }
    }

    fn date(&mut self, year: Option<i64>, month: i64, day: i64) -> Option<()> {
        set(&mut self.items.date, Date { year, month, day })
    }

    /// `Mon D` or `Mon D, Y`.
    fn month_first(&mut self, month: i64) -> Option<()> {
        let day = self.unsigned()?;
        let year = if self.accept(Token::Character(',')) {
            Some(self.unsigned()?)
        } else {
            None
        };
        self.date(year, month, day)
    }

    fn number_first(&mut self, number: i64) -> Option<()> {
        match self.peek() {
            Some(Token::Character(':')) => {
                self.next();
                self.time(number)
            }
            Some(Token::Meridian(afternoon)) => {
                self.next();
                set(
                    &mut self.items.time,
                    TimeOfDay {
                        hour: number,
                        minute: 0,
                        second: Some(0),
                        meridian: Some(afternoon),
                    },
                )
            }
            Some(Token::Character('/')) => {
                self.next();
                self.slashed_date(number)
            }
            Some(Token::Signed(month)) => {
                self.next();
                match self.next()? {
                    Token::Signed(day) => {
                        self.date(Some(number), -i64::from(month), -i64::from(day))
                    }
                    _ => None,
                }
            }
            Some(Token::Month(month)) => {
                self.next();
                let year = self.year_after_month();
                self.date(year, month, number)
            }
            Some(Token::Day(day)) => {
                self.next();
                let ordinal = number;
                set(&mut self.items.day, DayOfWeek { ordinal, day })
            }
            Some(Token::Unit(unit)) => {
                self.next();
                self.relative(number, unit)
            }
            _ => self.lone_number(number),
        }
    }

    /// The year of `D Mon Y` or `D-Mon-Y`.
    fn year_after_month(&mut self) -> Option<i64> {
        let year = match self.peek()? {
            Token::Unsigned(year) => i64::from(year),
            Token::Signed(year) => -i64::from(year),
            _ => return None,
        };
        self.next();
        Some(year)
    }

    /// `M/D`, `M/D/Y` or `Y/M/D`, the first number and slash being taken.
    fn slashed_date(&mut self, first: i64) -> Option<()> {
        /// Numbers from here on are years.
        const FIRST_YEAR: i64 = 1000;
        let second = self.unsigned()?;
        if !self.accept(Token::Character('/')) {
            return self.date(None, first, second);
        }
        let third = self.unsigned()?;
        if first >= FIRST_YEAR {
            self.date(Some(first), second, third)
        } else {
            self.date(Some(third), first, second)
        }
    }

    /// The rest of `H:M`, the hour and colon being taken.
    fn time(&mut self, hour: i64) -> Option<()> {
        let minute = self.unsigned()?;
        let second = if self.accept(Token::Character(':')) {
            Some(self.unsigned()?)
        } else {
            None
        };
        let mut time = TimeOfDay {
            hour,
            minute,
            second: Some(second.unwrap_or(0)),
            meridian: None,
        };
        match self.peek() {
            Some(Token::Meridian(afternoon)) => {
                self.next();
                time.meridian = Some(afternoon);
            }
            Some(Token::Signed(east)) => {
                self.next();
                time.second = second;
                let east = i64::from(east);
                set(&mut self.items.zone, -(east % 100 + east / 100 * 60))?;
            }
            _ => {}
        }
        set(&mut self.items.time, time)
    }

    /// A number that belongs to nothing.
    fn lone_number(&mut self, number: i64) -> Option<()> {
        /// Numbers above are dates.
        const LAST_TIME: i64 = 10_000;
        if self.items.time.is_some()
            && self.items.relative.is_none()
            && let Some(date) = &mut self.items.date
        {
            date.year = Some(number);
            return Some(());
        }
        if number > LAST_TIME {
            return self.date(Some(number / 10_000), number / 100 % 100, number % 100);
        }
        let (hour, minute) = if number < 100 {
            (number, 0)
        } else {
            (number / 100, number % 100)
        };
        set(
            &mut self.items.time,
            TimeOfDay {
                hour,
                minute,
                second: Some(0),
                meridian: None,
            },
        )
    }

    /// An amount of a unit; `ago` after it negates everything collected.
    fn relative(&mut self, amount: i64, unit: Unit) -> Option<()> {
        let ago = self.accept(Token::Ago);
        let relative = self.items.relative.get_or_insert_default();
        let (total, size) = match unit {
            Unit::Years(size) => (&mut relative.years, size),
            Unit::Months(size) => (&mut relative.months, size),
            Unit::Days(size) => (&mut relative.days, size),
            Unit::Hours(size) => (&mut relative.hours, size),
            Unit::Minutes(size) => (&mut relative.minutes, size),
            Unit::Seconds(size) => (&mut relative.seconds, size),
        };
        // Numbers have 32 bits and texts 2047 characters: no overflow of 64 bits.
        *total += amount * size;
        if ago {
            *relative = Relative {
                years: -relative.years,
                months: -relative.months,
                days: -relative.days,
                hours: -relative.hours,
                minutes: -relative.minutes,
                seconds: -relative.seconds,
            };
        }
        Some(())
    }
}
