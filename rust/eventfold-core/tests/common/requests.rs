//! Requests to append and their answers, for an independent protobuf.

#![allow(dead_code, reason = "each test binary uses its part")]

use prost::Message;

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Time {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Empty {}

#[derive(Clone, Copy, PartialEq, prost::Oneof)]
pub enum Kind {
    #[prost(int64, tag = "1")]
    Exact(i64),
    #[prost(message, tag = "2")]
    Exists(Empty),
    #[prost(message, tag = "3")]
    Any(Empty),
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Expected {
    #[prost(oneof = "Kind", tags = "1, 2, 3")]
    pub kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Message)]
pub struct NewEvent {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub event_type: String,
    #[prost(bytes = "vec", tag = "3")]
    pub data: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub metadata: Vec<u8>,
    #[prost(string, repeated, tag = "5")]
    pub tags: Vec<String>,
    #[prost(message, tag = "6")]
    pub occurred_at: Option<Time>,
}

/// `AppendRequest` and `StreamAppend`; without events `VersionCheck`.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    #[prost(string, tag = "1")]
    pub stream: String,
    #[prost(message, tag = "2")]
    pub expected_version: Option<Expected>,
    #[prost(message, repeated, tag = "3")]
    pub events: Vec<NewEvent>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Many {
    #[prost(message, repeated, tag = "1")]
    pub appends: Vec<Request>,
    #[prost(message, repeated, tag = "2")]
    pub checks: Vec<Request>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SessionAppend {
    #[prost(uint64, tag = "1")]
    pub number: u64,
    #[prost(message, tag = "2")]
    pub append: Option<Request>,
    #[prost(message, tag = "3")]
    pub timeout: Option<Time>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SessionRequest {
    #[prost(message, repeated, tag = "1")]
    pub appends: Vec<SessionAppend>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Response {
    #[prost(int64, tag = "1")]
    pub first_version: i64,
    #[prost(int64, tag = "2")]
    pub last_version: i64,
    #[prost(int64, repeated, tag = "3")]
    pub positions: Vec<i64>,
    #[prost(string, repeated, tag = "4")]
    pub ids: Vec<String>,
    #[prost(bool, tag = "5")]
    pub duplicate: bool,
    #[prost(message, tag = "6")]
    pub recorded_at: Option<Time>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Answer {
    #[prost(uint64, tag = "1")]
    pub number: u64,
    #[prost(message, tag = "2")]
    pub appended: Option<Response>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Answers {
    #[prost(message, repeated, tag = "1")]
    pub answers: Vec<Answer>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Stored {
    #[prost(message, repeated, tag = "1")]
    pub appends: Vec<Response>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ManyResponse {
    #[prost(message, tag = "1")]
    pub stored: Option<Stored>,
}
