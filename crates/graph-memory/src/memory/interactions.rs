//! What was said to a user, about what: interactions as nodes, and what they show of the user.

use std::collections::{BTreeMap, BTreeSet};

use hexmem_ports::{
    AsOf, Direction, Edge, EdgeFilter, Error, ErrorKind, Expect, GraphBatch, GraphChange, Limit,
    Name, Node, NodeDraft, Result, check_json,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{GraphMemory, Race};
use crate::fact::{Fact, Since};
use crate::identity::fact_id;

/// From an interaction to its user.
pub(super) const LEARNED_FROM: &str = "learned_from";
/// From an interaction to its topics.
const RELATED_TO: &str = "related_to";
/// From a user to the topics of the interactions.
const WORKS_ON: &str = "works_on";

/// How many nodes are asked for at once.
const PART: usize = 500;

/// A question and its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Interaction {
    /// Who asked. The node `user:NAME` stands for them.
    pub user: Name,
    /// What was asked.
    pub query: String,
    /// What was answered.
    pub response: String,
    /// What it was about. The node `topic:NAME` stands for each.
    pub topics: Vec<Name>,
    /// The program or model that answered.
    pub platform: Option<String>,
    /// Anything else; kept apart, so that it overrides nothing of the above.
    pub metadata: Map<String, Value>,
}

/// What a user's interactions show.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct UserPattern {
    /// How many there are.
    pub interactions: u64,
    /// Interactions by topic.
    pub topics: BTreeMap<String, u64>,
    /// The topic of the most interactions; the first by name among equals.
    pub most_discussed: Option<String>,
    /// Interactions by platform; those without one are not counted here.
    pub platforms: BTreeMap<String, u64>,
}

/// The node that stands for a user.
pub fn user_node(user: &Name) -> Result<Name> {
    Name::new(format!("user:{user}"))
}

impl UserPattern {
    /// Interactions a topic, on average; `None` without topics.
    pub fn interactions_per_topic(&self) -> Option<f64> {
        let topics = u32::try_from(self.topics.len()).ok().filter(|count| *count > 0)?;
        let interactions = u32::try_from(self.interactions).ok()?;
        Some(f64::from(interactions) / f64::from(topics))
    }
}

/// The nodes that may stand for a user: [`user_node`] and those of Kagura's graphs, `user_NAME` and `NAME`. Reads
/// take those of them that are of type `user`.
pub fn user_nodes(user: &Name) -> Result<[Name; 3]> {
    Ok([user_node(user)?, Name::new(format!("user_{user}"))?, user.clone()])
}

/// The node that stands for a topic.
pub fn topic_node(topic: &Name) -> Result<Name> {
    Name::new(format!("topic:{topic}"))
}

impl GraphMemory {
    /// Records an interaction in one batch: its node (`interaction:` and 122 random bits), the nodes of its user
    /// and topics where they are new, and the facts that join them. Gives the node's id.
    pub async fn record_interaction(&self, interaction: &Interaction) -> Result<Name> {
        let id = Name::new(format!("interaction:{}", Uuid::new_v4()))?;
        let data = json!({
            "user": interaction.user,
            "query": interaction.query,
            "response": interaction.response,
            "topics": interaction.topics,
            "platform": interaction.platform,
            "metadata": interaction.metadata,
        });
        check_json("graph.record_interaction", &data)?;
        let mut race = Race::new("graph.record_interaction");
        loop {
            match self.record_once(&id, interaction, &data).await {
                Err(error) if error.kind() == ErrorKind::Conflict => race.lost(&self.graph)?,
                Err(error) => return Err(error),
                Ok(()) => return Ok(id),
            }
        }
    }

    async fn record_once(&self, id: &Name, said: &Interaction, data: &Value) -> Result<()> {
        let now = self.now();
        let user = user_node(&said.user)?;
        let mut topics: Vec<(Name, &Name)> = Vec::new();
        for topic in &said.topics {
            let node = topic_node(topic)?;
            if !topics.iter().any(|(known, _)| *known == node) {
                topics.push((node, topic));
            }
        }
        let node = |id: &Name, kind: &str, data: Value| {
            let (kind, expect) = (Name::new(kind)?, Expect::Absent);
            let draft = NodeDraft { id: id.clone(), kind, data, created_at: None, expect };
            Ok::<_, Error>(GraphChange::PutNode(draft))
        };
        let mut changes = vec![node(id, "interaction", data.clone())?];
        let mut shared = vec![user.clone()];
        shared.extend(topics.iter().map(|(node, _)| node.clone()));
        let known = self.nodes(&shared, AsOf::ALL).await?;
        let mut known = known.iter().map(Option::is_some);
        if known.next() == Some(false) {
            changes.push(node(&user, "user", json!({ "name": said.user }))?);
        }
        for ((topic, name), known) in topics.iter().zip(known) {
            if !known {
                changes.push(node(topic, "topic", json!({ "name": name }))?);
            }
        }
        let holds = |src: &Name, relation: &str, dst: &Name| {
            Ok::<_, Error>(Fact::new(src.as_str(), relation, dst.as_str())?.since(Since::At(now)))
        };
        let mut fresh = vec![holds(id, LEARNED_FROM, &user)?];
        for (topic, _) in &topics {
            fresh.push(holds(id, RELATED_TO, topic)?);
            let works_on = Fact { since: Since::Now, ..holds(&user, WORKS_ON, topic)? };
            changes.extend(self.plan_fact(&works_on).await?);
        }
        changes.extend(fresh.iter().map(|fact| {
            let edge = fact_id(&fact.src, &fact.relation, &fact.dst, None, 0);
            GraphChange::PutEdge(fact.draft(edge, fact.span(now)))
        }));
        // Nodes first: a batch's later changes see its earlier ones.
        changes.sort_by_key(|change| !matches!(change, GraphChange::PutNode(_)));
        self.apply(GraphBatch::new(changes)).await.map(|_| ())
    }

    /// A user's interactions, newest first, at most `limit`. A user that nobody knows has none.
    pub async fn user_interactions(
        &self,
        user: &Name,
        as_of: AsOf,
        limit: Limit,
    ) -> Result<Vec<Node>> {
        let mut nodes = self.interactions_of(user, as_of).await?;
        nodes.sort_by(|a, b| b.created_at.cmp(&a.created_at).then(a.id.cmp(&b.id)));
        nodes.truncate(limit.as_usize());
        Ok(nodes)
    }

    /// The topics of a user's interactions, each once, in order of id.
    pub async fn user_topics(&self, user: &Name, as_of: AsOf) -> Result<Vec<Node>> {
        let mut topics = BTreeSet::new();
        let interactions = self.interactions_of(user, as_of).await?;
        for edge in self.topics_of(&interactions, as_of).await? {
            topics.insert(edge.dst);
        }
        let ids: Vec<Name> = topics.into_iter().collect();
        let mut nodes = Vec::with_capacity(ids.len());
        for part in ids.chunks(PART) {
            nodes.extend(self.nodes(part, as_of).await?.into_iter().flatten());
        }
        nodes.retain(|node| node.kind.as_str() == "topic");
        Ok(nodes)
    }

    /// What a user's interactions show: how many, about what, on which platforms.
    pub async fn user_pattern(&self, user: &Name, as_of: AsOf) -> Result<UserPattern> {
        let nodes = self.interactions_of(user, as_of).await?;
        let mut pattern = UserPattern::default();
        for node in &nodes {
            pattern.interactions += 1;
            if let Some(platform) = platform(&node.data) {
                *pattern.platforms.entry(platform.to_owned()).or_default() += 1;
            }
        }
        for edge in self.topics_of(&nodes, as_of).await? {
            let topic = edge.dst.as_str();
            let known = topic.strip_prefix("topic:").or_else(|| topic.strip_prefix("topic_"));
            *pattern.topics.entry(known.unwrap_or(topic).to_owned()).or_default() += 1;
        }
        let most = pattern.topics.iter().rev().max_by_key(|(_, count)| **count);
        pattern.most_discussed = most.map(|(topic, _)| topic.clone());
        Ok(pattern)
    }

    /// The edges from interactions to their topics.
    async fn topics_of(&self, interactions: &[Node], as_of: AsOf) -> Result<Vec<Edge>> {
        let ids: Vec<Name> = interactions.iter().map(|node| node.id.clone()).collect();
        let mut edges = Vec::new();
        for part in ids.chunks(PART) {
            edges.extend(self.edges_at(part, Direction::Out, RELATED_TO, as_of).await?);
        }
        Ok(edges)
    }

    async fn interactions_of(&self, user: &Name, as_of: AsOf) -> Result<Vec<Node>> {
        let mut users = user_nodes(user)?.to_vec();
        let found = self.nodes(&users, as_of).await?;
        let mut is_user =
            found.iter().map(|node| node.as_ref().is_some_and(|node| node.kind.as_str() == "user"));
        users.retain(|_| is_user.next() == Some(true));
        let edges = self.edges_at(&users, Direction::In, LEARNED_FROM, as_of).await?;
        let ids: BTreeSet<Name> = edges.into_iter().map(|edge| edge.src).collect();
        let ids: Vec<Name> = ids.into_iter().collect();
        let mut nodes = Vec::with_capacity(ids.len());
        for part in ids.chunks(PART) {
            nodes.extend(self.nodes(part, as_of).await?.into_iter().flatten());
        }
        nodes.retain(|node| node.kind.as_str() == "interaction");
        Ok(nodes)
    }

    async fn edges_at(
        &self,
        at: &[Name],
        way: Direction,
        relation: &str,
        as_of: AsOf,
    ) -> Result<Vec<Edge>> {
        let filter = EdgeFilter {
            at: Some((at.to_vec(), way)),
            relations: vec![Name::new(relation)?],
            ..EdgeFilter::default()
        };
        let mut edges = Vec::new();
        self.each_edge(&filter, as_of, |edge| edges.push(edge)).await?;
        Ok(edges)
    }
}

/// Where an interaction took place; also as Kagura keeps it.
fn platform(data: &Value) -> Option<&str> {
    let kagura = || data.get("ai_platform").or_else(|| data.get("metadata")?.get("ai_platform"));
    data.get("platform").filter(|value| !value.is_null()).or_else(kagura)?.as_str()
}
