//! `ssl.principal.mapping.rules` (KIP-371): the principal of a certificate's distinguished name.
//!
//! Rules are tried in their order, the first whose pattern is the whole name gives the principal:
//! `RULE:pattern/replacement/` with `$1` for what the first group found, `L` or `U` behind it for lower or upper case;
//! `DEFAULT` is the name as it is. `/` within a pattern or replacement is written `\/`. A name that no rule takes is
//! nobody's: its connection is refused.
//!
//! The patterns run on an engine whose time is linear in the name (tests/README.md, hostile input 29), so they have no look-around and no
//! references back.

use std::str::FromStr;

use regex_lite::Regex;

/// The rules, in their order.
#[derive(Clone, Debug)]
pub struct PrincipalMapping {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
enum Rule {
    Default,
    Pattern { pattern: Regex, replacement: String, case: Case },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    AsIs,
    Lower,
    Upper,
}

/// Why rules cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ssl.principal.mapping.rules: {0}")]
pub struct MappingError(String);

impl Default for PrincipalMapping {
    fn default() -> PrincipalMapping {
        PrincipalMapping { rules: vec![Rule::Default] }
    }
}

impl FromStr for PrincipalMapping {
    type Err = MappingError;

    fn from_str(text: &str) -> Result<PrincipalMapping, MappingError> {
        let mut rules = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (rule, after) = match rest.strip_prefix("RULE:") {
                Some(body) => pattern_rule(body)?,
                None => match rest.strip_prefix("DEFAULT") {
                    Some(after) => (Rule::Default, after),
                    None => {
                        return Err(MappingError(format!("`{rest}` begins with neither RULE: nor DEFAULT")));
                    }
                },
            };
            rules.push(rule);
            let after = after.trim_start();
            rest = match after.strip_prefix(',') {
                Some(next) => next.trim_start(),
                None if after.is_empty() => after,
                None => return Err(MappingError(format!("a comma is missing before `{after}`"))),
            };
        }
        Ok(if rules.is_empty() { PrincipalMapping::default() } else { PrincipalMapping { rules } })
    }
}

impl PrincipalMapping {
    /// The principal's name; `None` when no rule takes the distinguished name.
    #[must_use]
    pub fn name_of(&self, distinguished_name: &str) -> Option<String> {
        self.rules.iter().find_map(|rule| match rule {
            Rule::Default => Some(distinguished_name.to_owned()),
            Rule::Pattern { pattern, replacement, case } => {
                let found = pattern.captures(distinguished_name)?;
                let mut name = String::new();
                found.expand(replacement, &mut name);
                Some(match case {
                    Case::AsIs => name,
                    Case::Lower => name.to_lowercase(),
                    Case::Upper => name.to_uppercase(),
                })
            }
        })
    }
}

/// `pattern/replacement/[LU]`, and what follows it.
fn pattern_rule(body: &str) -> Result<(Rule, &str), MappingError> {
    let unfinished = || MappingError(format!("`RULE:{body}` is not RULE:pattern/replacement/[LU]"));
    let (pattern, rest) = until_slash(body).ok_or_else(unfinished)?;
    let (replacement, rest) = until_slash(rest).ok_or_else(unfinished)?;
    let (case, rest) = match rest.as_bytes().first() {
        Some(b'L') => (Case::Lower, &rest[1..]),
        Some(b'U') => (Case::Upper, &rest[1..]),
        _ => (Case::AsIs, rest),
    };
    // The whole name, as Java's `matches`.
    let pattern = Regex::new(&format!("^(?:{pattern})$"))
        .map_err(|error| MappingError(format!("the pattern `{pattern}` cannot be read: {error}")))?;
    Ok((Rule::Pattern { pattern, replacement: braced(&replacement), case }, rest))
}

/// The text up to the next `/` that has no `\` before it, and what follows it.
fn until_slash(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '/' => return Some((out, &text[at + 1..])),
            '\\' => match chars.next()? {
                (_, '/') => out.push('/'),
                (_, escaped) => out.extend(['\\', escaped]),
            },
            c => out.push(c),
        }
    }
    None
}

/// `$1x` means the first group and an `x`, not a group called `1x`.
fn braced(replacement: &str) -> String {
    let mut out = String::new();
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(c);
        if c == '$' && chars.peek().is_some_and(char::is_ascii_digit) {
            out.push('{');
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                out.push(digit);
            }
            out.push('}');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(rules: &str, name: &str) -> Option<String> {
        rules.parse::<PrincipalMapping>().unwrap().name_of(name)
    }

    /// The examples of KIP-371.
    #[test]
    fn the_first_rule_that_takes_the_whole_name_gives_the_principal() {
        let rules = r"RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/,
            RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L,
            RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/L, DEFAULT";
        for (name, principal) in [
            ("CN=kafka-server1, OU=KAFKA", "kafka"),
            ("CN=kafka1,OU=ServiceUsers,O=x", "kafka1"),
            ("CN=adminUser,OU=Admin,O=Unknown,L=Unknown,ST=Unknown,C=Unknown", "adminuser@admin"),
            ("O=nobody", "O=nobody"),
        ] {
            assert_eq!(mapped(rules, name).as_deref(), Some(principal), "{name}");
        }
    }

    #[test]
    fn without_a_default_a_name_that_no_rule_takes_is_nobodys() {
        assert_eq!(mapped("RULE:^CN=(.*),O=a$/$1/U", "CN=x,O=a").as_deref(), Some("X"));
        assert_eq!(mapped("RULE:^CN=(.*),O=a$/$1/U", "CN=x,O=b"), None);
        assert_eq!(mapped("RULE:CN=(a)/$1/", "CN=a,O=b"), None, "the whole name");
        assert_eq!(mapped("", "CN=a").as_deref(), Some("CN=a"));
    }

    #[test]
    fn slashes_are_escaped_and_groups_are_numbers() {
        assert_eq!(mapped(r"RULE:CN=a\/(.)/$1x\/y/", "CN=a/b").as_deref(), Some("bx/y"));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for bad in
            ["RULE:a/b", "RULE:(/b/", "rule:a/b/", "DEFAULT DEFAULT", r"RULE:(a)\1/b/", "RULE:(?=a)a/b/"]
        {
            assert!(bad.parse::<PrincipalMapping>().is_err(), "{bad}");
        }
    }
}
