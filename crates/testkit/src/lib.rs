//! Real nodes, real clusters, real networks and real inputs for the tests.
//!
//! | module | what it gives |
//! |---|---|
//! | `node` | one node on any free port |
//! | `cluster` | several nodes that can be killed, paused, moved and watched, each a process of its own |
//! | `watcher` | every change of what nodes say of their cluster, with its moment |
//! | `http` | calls over a connection that stays open |
//! | `netns` | hosts as network namespaces, whose links can be cut |
//! | `scratch` | small file systems, to be filled and frozen |
//! | `proxy` | a slow way to a node, where the kernel cannot delay packets |
//! | `stranger` | bytes from somebody who does not belong to the cluster |
//! | `inputs`, `png`, `png_file` | secrets, covers, PNG files put together and taken apart |
//! | `png_specimen`, `png_filter` | PNG files of every legal kind, with the samples that they promote to |
//! | `png_reader`, `pixels` | the files that the library writes, read without it; which bits a payload may change |
//! | `qoi`, `exif` | QOI files, EXIF blocks |
//! | `outside` | Pillow, ImageMagick, pngcheck |
//! | `bombs` | small files that would take much |
//! | `carried` | containers read and written as docs/format.md says, without the library |
//! | [`mutation`] | stego images with something changed, and what may be found in them |
//!
//! Nothing here sleeps for a while and hopes: everything waits on a condition, with a deadline that only a broken
//! node reaches. Whatever a test started ends with the value that stands for it, also when the test fails.

mod addresses;
mod bombs;
mod carried;
mod cluster;
mod exif;
mod http;
mod inputs;
mod left_out;
pub mod mutation;
mod netns;
mod node;
mod outside;
mod pixels;
mod png;
mod png_file;
mod png_filter;
mod png_reader;
mod png_specimen;
mod previous;
mod process;
mod proxy;
mod qoi;
mod scratch;
mod stranger;
mod wait;
mod watcher;

pub use addresses::{Addresses, MAX_NODES, NodeAddress};
pub use bombs::{inflating_payload, inflating_png};
pub use carried::{Carried, Container, Raster, legacy_container};
pub use cluster::{Cluster, ClusterBuilder, Health, Member, NodeStatus, Notice, Role, Status};
pub use exif::{ExifBlock, ExifPlan};
pub use http::{Connection, Reply};
pub use inputs::{covers, noise, photographs, text};
pub use left_out::leave_out;
pub use netns::Net;
pub use node::{Node, NodeBuilder, Signal};
pub use outside::{OutsideReaders, run_outside, run_pillow};
pub use pixels::Pixels;
pub use png::{PngParts, chunk};
pub use png_file::{FileChunk, PngFile};
pub use png_filter::Filtering;
pub use png_reader::{ReadPng, png_chunks};
pub use png_specimen::{PngChunk, PngKind, PngSpecimen, Split};
pub use previous::previous_server;
pub use proxy::Proxy;
pub use qoi::qoi_file;
pub use scratch::{Frozen, ScratchFs};
pub use stranger::{Flood, Heard, send_as_stranger};
pub use wait::wait_for;
pub use watcher::{Sighting, Watcher, agreed};
