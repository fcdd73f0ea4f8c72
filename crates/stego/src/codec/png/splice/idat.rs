//! IDAT chunks.

/// Appends an IDAT chunk.
pub(super) fn append_idat(file: &mut Vec<u8>, data: &[u8]) {
    let start = file.len();
    file.extend_from_slice(b"\0\0\0\0IDAT");
    file.extend_from_slice(data);
    finish_chunk(file, start);
}

/// Fills in the length of the chunk between `start` and the end of `file`, and adds the checksum.
pub(super) fn finish_chunk(file: &mut Vec<u8>, start: usize) {
    let len = (file.len() - start - 8) as u32;
    file[start..start + 4].copy_from_slice(&len.to_be_bytes());
    let crc = crc32fast::hash(&file[start + 4..]);
    file.extend_from_slice(&crc.to_be_bytes());
}
