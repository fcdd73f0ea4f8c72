//! The calls of zlib.

#![expect(unsafe_code, reason = "zlib is a C library")]

use std::ffi::{CStr, c_int, c_uint};
use std::mem::MaybeUninit;
use std::ptr;

use libz_sys as ffi;

use crate::settings::{Settings, Strategy};

/// Reasons for which nothing is deflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter is outside of its range.
    #[error("a parameter of deflate is outside of its range")]
    Settings,
    /// zlib could not allocate its state, less than 400 KiB.
    #[error("no memory for the state of deflate")]
    OutOfMemory,
    /// A call that the stream does not allow in its state, such as more input after [`Flush::Finish`].
    #[error("the stream of deflate has been finished")]
    Finished,
}

/// Amount of output asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flush {
    /// `Z_NO_FLUSH`: as much as suits the compression.
    No,
    /// `Z_FINISH`: all, with the end of the stream. No input may follow.
    Finish,
}

/// State of a stream after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// More output may follow.
    Open,
    /// The output is complete.
    Ended,
}

/// Outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Step {
    /// Bytes of the input that were taken.
    pub consumed: usize,
    /// Bytes of the output that were written, from its start.
    pub written: usize,
    /// State of the stream.
    pub status: Status,
}

/// A stream being written. Its state is on the heap, in memory of zlib, and is released when dropped.
pub struct Deflater {
    /// zlib's state points back to this place, so the place may not move. Initialized by `deflateInit2_`; the
    /// pointers to input and output are null between calls.
    stream: Box<ffi::z_stream>,
}

impl Deflater {
    /// Begins a stream.
    ///
    /// # Errors
    ///
    /// [`Error::Settings`] for a parameter outside of its range, [`Error::OutOfMemory`] if zlib cannot
    /// allocate its state.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let Settings { level, window_bits, mem_level, strategy } = settings;
        // zlib takes 8 to mean 9, and other numbers to mean other formats.
        if level > 9 || !(9..=15).contains(&window_bits) || !(1..=9).contains(&mem_level) {
            return Err(Error::Settings);
        }
        let strategy = match strategy {
            Strategy::Default => ffi::Z_DEFAULT_STRATEGY,
            Strategy::Filtered => ffi::Z_FILTERED,
        };
        // All zeros: no input and no output, and zlib's own functions for memory, which it puts in their
        // place.
        let mut stream = Box::new(MaybeUninit::<ffi::z_stream>::zeroed());
        // SAFETY: zlib returns a pointer to a constant.
        let version = unsafe { ffi::zlibVersion() };
        // SAFETY: the pointer is to a whole z_stream of zeros, which `deflateInit2_` takes for its defaults.
        // The version is that of zlib, as a C string, and the size is that of the structure.
        let code = unsafe {
            ffi::deflateInit2_(
                stream.as_mut_ptr(),
                c_int::from(level),
                ffi::Z_DEFLATED,
                c_int::from(window_bits),
                c_int::from(mem_level),
                strategy,
                version,
                size_of::<ffi::z_stream>() as c_int,
            )
        };
        match code {
            ffi::Z_OK => {}
            ffi::Z_MEM_ERROR => return Err(Error::OutOfMemory),
            _ => return Err(Error::Settings),
        }
        // SAFETY: `deflateInit2_` succeeded, so it has set both functions for memory; all other fields are
        // integers and pointers, for which zeros are values.
        Ok(Self { stream: unsafe { stream.assume_init() } })
    }

    /// Deflates from `input` into `output` until one of them is used up. The rest of the input is to be given
    /// again.
    ///
    /// # Errors
    ///
    /// [`Error::Finished`] for a call without [`Flush::Finish`] after one with it that wrote something.
    pub fn step(&mut self, input: &[u8], output: &mut [u8], flush: Flush) -> Result<Step, Error> {
        let given = c_uint::try_from(input.len()).unwrap_or(c_uint::MAX);
        let room = c_uint::try_from(output.len()).unwrap_or(c_uint::MAX);
        // A stream may not end while input is held back.
        let is_last = flush == Flush::Finish && given as usize == input.len();
        let stream = &mut *self.stream;
        stream.next_in = input.as_ptr().cast_mut();
        stream.avail_in = given;
        stream.next_out = output.as_mut_ptr();
        stream.avail_out = room;
        // SAFETY: the stream was initialized by `deflateInit2_` and has not moved since. `next_in` points to
        // `avail_in` readable bytes, to which zlib does not write, and `next_out` to `avail_out` writable
        // ones.
        let code = unsafe { ffi::deflate(stream, if is_last { ffi::Z_FINISH } else { ffi::Z_NO_FLUSH }) };
        let step = Step {
            consumed: (given - stream.avail_in) as usize,
            written: (room - stream.avail_out) as usize,
            status: if code == ffi::Z_STREAM_END { Status::Ended } else { Status::Open },
        };
        // The slices end with the call.
        stream.next_in = ptr::null_mut();
        stream.next_out = ptr::null_mut();
        (stream.avail_in, stream.avail_out) = (0, 0);
        debug_assert!(step.consumed <= input.len() && step.written <= output.len(), "no more than was given");
        match code {
            // Z_BUF_ERROR: nothing was left to do, or no room to do it.
            ffi::Z_OK | ffi::Z_STREAM_END | ffi::Z_BUF_ERROR => Ok(step),
            _ => Err(Error::Finished),
        }
    }
}

impl Drop for Deflater {
    fn drop(&mut self) {
        // SAFETY: the stream was initialized by `deflateInit2_`, has not moved since, and is not used again.
        // The result tells of data that were not written, which is no error here.
        unsafe { ffi::deflateEnd(&mut *self.stream) };
    }
}

impl std::fmt::Debug for Deflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deflater").field("total_out", &self.stream.total_out).finish_non_exhaustive()
    }
}

pub(crate) fn version() -> &'static str {
    // SAFETY: zlib returns a pointer to a constant.
    let version = unsafe { ffi::zlibVersion() };
    // SAFETY: the constant is a C string, and lives as long as the program.
    unsafe { CStr::from_ptr(version) }.to_str().unwrap_or_default()
}
