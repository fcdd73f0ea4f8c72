//! Real nodes, real clusters, real networks and real inputs for the tests.
//!
//! | module | contents |
//! |---|---|
//! | `node` | one node on any free port |
//! | `cluster` | several nodes of `local-cluster` that can be killed, paused, moved and watched |
//! | `server_program` | the server beside the running test, without the settings of the environment |
//! | `netns` | hosts as network namespaces, with links that can be cut |
//! | `wall_clock` | wall clocks of nodes, set while the nodes run |
//! | `scratch` | small file systems, which can be filled and frozen |
//! | `proxy` | a slow link to a node, where the kernel cannot delay packets |
//! | `stranger` | connections from outside the cluster |
//! | `inputs`, `png`, `png_file` | secrets, covers, PNG files built and split |
//! | `png_specimen`, `png_filter` | PNG files of every legal kind, with the promoted samples |
//! | `png_reader`, `pixels` | an independent reader of the library's files; the bits a payload may change |
//! | `qoi`, `exif` | QOI files, EXIF blocks |
//! | `outside` | external readers: Pillow, ImageMagick, pngcheck |
//! | `bombs` | decompression bombs |
//! | `carried` | an independent reader and writer of containers, by docs/format.md |
//! | [`mutation`] | mutated stego images, with the permitted results of their extraction |
//!
//! Nothing here sleeps for a fixed time: every wait is for a condition, with a deadline reached only by a
//! broken node. Everything a test starts ends with the value that represents it, also when the test fails.

#![warn(clippy::missing_errors_doc, unnameable_types)]

mod addresses;
mod bombs;
mod carried;
mod cluster;
mod exif;
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
mod proxy;
mod qoi;
mod scratch;
mod server_program;
mod stranger;
mod wait;
mod wall_clock;

pub use addresses::{Addresses, MAX_NODES, NodeAddress};
pub use bombs::{inflating_payload, inflating_png};
pub use carried::{Carried, Container, legacy_container};
pub use cluster::{Cluster, ClusterBuilder, Health, Member, NodeStatus, Notice, Role, Status};
pub use exif::{ExifBlock, ExifPlan};
pub use inputs::{covers, noise, photographs, text};
pub use left_out::leave_out;
pub use local_cluster::{Connection, Reply, Sighting, Signal, Watcher, agreed};
pub use netns::Net;
pub use node::{Node, NodeBuilder};
pub use outside::{OutsideReaders, run_outside, run_pillow, run_python};
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
pub use wall_clock::can_set_wall_clocks;
