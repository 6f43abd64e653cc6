//! [`Report`]: the findings, as a document and as a text.

use std::fmt;

use serde::Serialize;

/// The findings about a site.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The page, after redirects.
    pub url: String,
    /// The number of requests that were sent.
    pub requests: usize,
    /// The time that they took, in milliseconds.
    pub millis: u64,
    /// One finding for each tip.
    pub findings: Vec<Finding>,
}

/// A finding about one tip.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The tip, such as `compression`.
    pub tip: &'static str,
    /// The verdict.
    pub grade: Grade,
    /// The facts that were seen.
    pub seen: String,
    /// The cost, if it can be better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// The remedy, in a configuration of dunlin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<&'static str>,
}

/// The verdict on one tip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Grade {
    /// The site follows the tip.
    Good,
    /// The site could do better.
    Improve,
    /// The tip does not apply, or it could not be seen.
    Unknown,
}

/// The width of the column with the tips.
const TIP_WIDTH: usize = 16;
/// The width of a text, in columns.
const WIDTH: usize = 100;

// === impl Finding ===

impl Finding {
    pub(crate) fn good(tip: &'static str, seen: impl Into<String>) -> Self {
        Self { tip, grade: Grade::Good, seen: seen.into(), cost: None, remedy: None }
    }

    pub(crate) fn unknown(tip: &'static str, seen: impl Into<String>) -> Self {
        Self { tip, grade: Grade::Unknown, seen: seen.into(), cost: None, remedy: None }
    }

    pub(crate) fn improve(
        tip: &'static str,
        seen: impl Into<String>,
        cost: impl Into<String>,
        remedy: &'static str,
    ) -> Self {
        Self { tip, grade: Grade::Improve, seen: seen.into(), cost: Some(cost.into()), remedy: Some(remedy) }
    }
}

// === impl Report ===

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.millis as f64 / 1000.0;
        writeln!(f, "{}: {} requests in {seconds:.1} s\n", self.url, self.requests)?;
        for finding in &self.findings {
            let mark = match finding.grade {
                Grade::Good => "+",
                Grade::Improve => "!",
                Grade::Unknown => " ",
            };
            let head = format!(" {mark} {:TIP_WIDTH$}", finding.tip);
            paragraph(f, &head, &finding.seen)?;
            if let Some(cost) = &finding.cost {
                paragraph(f, "", &format!("Cost: {cost}"))?;
            }
            if let Some(remedy) = finding.remedy {
                paragraph(f, "", &format!("With dunlin: {remedy}"))?;
            }
        }
        let count = |grade| self.findings.iter().filter(|finding| finding.grade == grade).count();
        writeln!(f, "\n{} tips are followed, {} could be.", count(Grade::Good), count(Grade::Improve))
    }
}

/// Writes a text behind `head`, in lines of [`WIDTH`] columns at most.
fn paragraph(f: &mut fmt::Formatter<'_>, head: &str, text: &str) -> fmt::Result {
    let indent = TIP_WIDTH + 4;
    let mut line = format!("{head:indent$}");
    let mut is_first = true;
    for word in text.split(' ') {
        if !is_first && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(f, "{}", line.trim_end())?;
            line = " ".repeat(indent);
            is_first = true;
        }
        if !is_first {
            line.push(' ');
        }
        line.push_str(word);
        is_first = false;
    }
    writeln!(f, "{}", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_at_a_glance() {
        let report = Report {
            url: "https://a.test/".into(),
            requests: 12,
            millis: 1234,
            findings: vec![
                Finding::good("keep-alive", "the connection is used again"),
                Finding::improve(
                    "compression",
                    "the page is sent as it is; ".repeat(5).trim_end(),
                    "71 KB",
                    "compress = true",
                ),
            ],
        };
        let text = report.to_string();
        assert!(
            text.starts_with("https://a.test/: 12 requests in 1.2 s\n\n + keep-alive       the connection"),
            "{text}"
        );
        assert!(text.contains("\n ! compression      the page"), "{text}");
        assert!(text.contains("\n                    Cost: 71 KB\n"), "{text}");
        assert!(text.ends_with("\n1 tips are followed, 1 could be.\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }
}
