//! What a hit is worth beside its likeness: how old it is, how important, how often it was used.

use std::collections::BTreeMap;

use hexmem_ports::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A named rule that turns likeness and metadata into one score.
///
/// It reads these fields of the metadata; what is missing or no number counts as stated:
///
/// | field | is | missing |
/// |---|---|---|
/// | `last_accessed_at`, else `created_at`, else `timestamp` | RFC 3339, or seconds since 1970 | half of the recency there is |
/// | `importance` | 0 to 1 | 0.5 |
/// | `importance_score` | 1 to 10, read where there is no `importance` | 3 |
/// | `access_count` | a number | 0 |
/// | `hops` | steps in a graph from what was asked about | no part |
/// | `type`, `source_type` | words, see [`Profile::WhisperEngine`] | `conversation`, `human_direct` |
/// | `meaningfulness_score` | 1 to 5 | 3 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Kagura AI's: 0.30 likeness + 0.20 recency (`exp(-days / 30)`) + 0.15 use (`ln(1 + n) / ln(101)`) + 0.15 nearness in a
    /// graph (`1 / (1 + hops)`) + 0.20 importance.
    Kagura,
    /// WhisperEngine's: likeness x rate ^ days x source x (0.5 + `importance_score` / 20). The rate is 0.98 for
    /// conversation, 0.97 summary, 0.95 diary, 0.94 observation, 0.93 gossip, 0.90 dream, and 0.01 more for each step of
    /// meaningfulness above 3, within 0.85 to 0.99. The source is 1.0 for human_direct, 0.9 summary, 0.8 inference, 0.7
    /// diary, 0.6 observation, 0.5 dream, 0.4 gossip.
    WhisperEngine,
    /// Likeness x 0.5 ^ (days / 30).
    Recent,
}

const DAY: f64 = 86_400.0;

impl Profile {
    /// The score of a hit of `likeness` 0 to 1 at `now`, and the parts it is made of.
    pub fn score(
        self,
        likeness: f64,
        metadata: &Map<String, Value>,
        now: Timestamp,
    ) -> (f64, BTreeMap<&'static str, f64>) {
        let days = age(metadata, now).map(|seconds| seconds / DAY);
        let number = |field: &str| metadata.get(field).and_then(Value::as_f64);
        let parts: BTreeMap<&'static str, f64> = match self {
            Self::Kagura => BTreeMap::from([
                ("likeness", likeness.clamp(0.0, 1.0)),
                ("recency", days.map_or(0.5, |days| (-days / 30.0).exp())),
                ("frequency", {
                    let used = number("access_count").unwrap_or(0.0).max(0.0);
                    (used.ln_1p() / 101f64.ln()).min(1.0)
                }),
                ("graph", number("hops").map_or(0.0, |hops| 1.0 / (1.0 + hops.max(0.0)))),
                ("importance", importance(metadata).unwrap_or(0.5)),
            ]),
            Self::WhisperEngine => BTreeMap::from([
                ("likeness", likeness.clamp(0.0, 1.0)),
                ("recency", {
                    let meaning = number("meaningfulness_score").unwrap_or(3.0).clamp(1.0, 5.0);
                    let rate =
                        (rate(word(metadata, "type")) + 0.01 * (meaning - 3.0)).clamp(0.85, 0.99);
                    days.map_or(0.5, |days| rate.powf(days))
                }),
                ("source", source(word(metadata, "source_type"))),
                ("importance", {
                    let tenths = importance(metadata).map_or(3.0, |importance| importance * 10.0);
                    0.5 + tenths / 20.0
                }),
            ]),
            Self::Recent => BTreeMap::from([
                ("likeness", likeness.clamp(0.0, 1.0)),
                ("recency", days.map_or(0.5, |days| 0.5f64.powf(days / 30.0))),
            ]),
        };
        let part = |name: &str| parts.get(name).copied().unwrap_or(1.0);
        let score = match self {
            Self::Kagura => {
                0.30 * part("likeness")
                    + 0.20 * part("recency")
                    + 0.15 * part("frequency")
                    + 0.15 * part("graph")
                    + 0.20 * part("importance")
            }
            Self::WhisperEngine | Self::Recent => parts.values().product(),
        };
        (score, parts)
    }
}

fn importance(metadata: &Map<String, Value>) -> Option<f64> {
    let number = |field: &str| metadata.get(field).and_then(Value::as_f64);
    let tenths = || number("importance_score").map(|tenths| tenths / 10.0);
    number("importance").or_else(tenths).map(|importance| importance.clamp(0.0, 1.0))
}

fn word<'m>(metadata: &'m Map<String, Value>, field: &str) -> &'m str {
    metadata.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn rate(kind: &str) -> f64 {
    match kind {
        "summary" => 0.97,
        "diary" => 0.95,
        "observation" => 0.94,
        "gossip" => 0.93,
        "dream" => 0.90,
        _ => 0.98,
    }
}

fn source(kind: &str) -> f64 {
    match kind {
        "summary" => 0.9,
        "inference" => 0.8,
        "diary" => 0.7,
        "observation" => 0.6,
        "dream" => 0.5,
        "gossip" => 0.4,
        _ => 1.0,
    }
}

/// Seconds since it was last used; what lies ahead is new.
fn age(metadata: &Map<String, Value>, now: Timestamp) -> Option<f64> {
    let fields = ["last_accessed_at", "created_at", "timestamp"];
    let then = fields.iter().find_map(|field| time(metadata.get(*field)?))?;
    #[allow(clippy::cast_precision_loss, reason = "to a microsecond for a century")]
    let seconds = now.as_micros() as f64 / 1e6 - then;
    Some(seconds.max(0.0))
}

fn time(value: &Value) -> Option<f64> {
    #[allow(clippy::cast_precision_loss, reason = "to a microsecond for a century")]
    let parsed = |text: &str| Timestamp::parse(text).ok().map(|time| time.as_micros() as f64 / 1e6);
    value.as_f64().or_else(|| value.as_str().and_then(parsed))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn score(profile: Profile, likeness: f64, metadata: Value) -> f64 {
        let Value::Object(metadata) = metadata else { unreachable!() };
        let now = Timestamp::parse("2026-11-21T00:00:00Z").unwrap();
        profile.score(likeness, &metadata, now).0
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn kaguras_by_hand() {
        let all = json!({
            "created_at": "2026-10-22T00:00:00Z", "access_count": 100, "hops": 1, "importance": 0.8,
        });
        let expected = 0.3 * 0.5 + 0.2 * (-1f64).exp() + 0.15 + 0.15 * 0.5 + 0.2 * 0.8;
        assert!(near(score(Profile::Kagura, 0.5, all), expected));
        // The defaults: half the recency, no use, no graph, middling importance.
        assert!(near(score(Profile::Kagura, 1.0, json!({})), 0.3 + 0.1 + 0.1));
        // The last use goes before the making, and what is ahead is new.
        let used = json!({"created_at": "2020-01-01", "last_accessed_at": 1_900_000_000});
        assert!(near(score(Profile::Kagura, 0.0, used), 0.2 + 0.1));
    }

    #[test]
    fn whisper_engines_by_hand() {
        let diary = json!({
            "type": "diary", "source_type": "diary", "importance_score": 8, "meaningfulness_score": 5,
            "timestamp": "2026-11-11T00:00:00Z",
        });
        let expected = 0.5 * 0.97f64.powi(10) * 0.7 * 0.9;
        assert!(near(score(Profile::WhisperEngine, 0.5, diary), expected));
        let plain = json!({"timestamp": "2026-11-20T00:00:00Z"});
        assert!(near(score(Profile::WhisperEngine, 1.0, plain), 0.98 * 0.65));
    }

    #[test]
    fn odd_metadata_is_as_if_it_were_missing() {
        for profile in [Profile::Kagura, Profile::WhisperEngine, Profile::Recent] {
            let odd = json!({"created_at": "yesterday", "importance": "high", "access_count": [], "type": 3});
            assert!(near(score(profile, 0.7, odd), score(profile, 0.7, json!({}))));
            let extreme = json!({"created_at": -1e300, "importance": 1e300, "access_count": 1e300, "hops": -5});
            assert!(score(profile, 2.0, extreme).is_finite());
        }
    }
}
