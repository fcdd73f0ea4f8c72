/** What a person can do about a problem, and which field of a form it concerns. The nodes' own words say what happened. */

import { retryOf, type Problem } from './problem';

export type HideField = 'secret' | 'cover' | 'key' | 'bits' | 'metadata';

const FIELDS: Record<string, HideField> = {
  capacity_exceeded: 'secret',
  secret_too_large: 'secret',
  file_missing: 'secret',
  file_empty: 'cover',
  not_an_image: 'cover',
  unsupported_image: 'cover',
  truncated_image: 'cover',
  damaged_image: 'cover',
  too_many_pixels: 'cover',
  image_too_large: 'cover',
  cover_too_small: 'cover',
  invalid_key: 'key',
  plaintext_refused: 'key',
  bits_out_of_range: 'bits',
  unknown_metadata_policy: 'metadata',
};

/** The field of the form on Hide that a problem is about. */
export function fieldOf(problem: Problem): HideField | null {
  return FIELDS[problem.code] ?? null;
}

const ADVICE: Record<string, string> = {
  no_payload:
    'Nothing was hidden in this image, or it is gone without a trace: resized, cropped, or edited. Ask for the very file that was made.',
  no_payload_or_wrong_key:
    'Check the passphrase and the key file. If they are right, nothing is hidden in this image, or it was changed on the way: ask for the very file that was made.',
  invalid_key: 'Enter another passphrase, or choose another key file.',
  plaintext_refused: 'Choose another passphrase: this one was readable on its way. Open the console over https.',
  image_was_reencoded:
    'The picture is there, what was hidden in it is not: an app saved it anew. Ask the sender to send the PNG as a file (a document), not as a photo.',
  damaged_payload:
    'Something was hidden here, and a part of it was changed on the way. Get the file again from where it came from.',
  unknown_container_version: 'A newer release hid something here. Use a node of that release.',
  not_an_image: 'Secrets are found in PNG, and in BMP, TIFF, QOI and lossless WebP made from such a PNG.',
  unsupported_image: 'Open it in another program and save it as a PNG.',
  truncated_image: 'The download or copy was cut off. Get the file again.',
  damaged_image: 'Something changed the file on its way. Get it again.',
  body_too_large: 'The node takes no uploads of this length. Its operator can raise limits.max_body_bytes.',
  too_many_pixels: 'Take a smaller image.',
  image_too_large: 'Take an image with fewer pixels, or with 8 bits per sample.',
  no_node_answers: 'Check that the nodes run and that this device reaches them.',
  too_slow: 'The connection is slow, or the nodes have much to do. Try it again, or with less.',
  foreign_cluster: 'The node that was asked founded a cluster of its own. The page Cluster tells what to do.',
  overloaded: 'All nodes are busy. Try again in a moment.',
  storage_full: 'A disk of the cluster is full. Nothing was changed. The page Cluster tells which one.',
  no_quorum: 'Too few nodes are there to agree. Nothing was changed. Hiding and finding still work.',
  token_required: 'Open the console by the address that `stegctl console` prints, or enter the admin token.',
  token_wrong: 'Check the admin token.',
  too_many_guesses: 'Wait a moment, and check the admin token.',
  cross_origin: 'Enter the admin token.',
  version_mismatch: 'Somebody changed it meanwhile. The value above is the newest one.',
  outcome_unknown: 'Look at the value again before you repeat it.',
};

export function adviceFor(problem: Problem): string | null {
  return ADVICE[problem.code] ?? null;
}

/** True if the same call may succeed a little later, or once a node is there again. */
export function isWorthAnotherTry({ code, status }: Problem): boolean {
  return ['no_node_answers', 'too_slow'].includes(code) || ['elsewhere', 'later'].includes(retryOf(code, status));
}

/** Whether a problem is about the right to change the cluster. */
export function isAboutRights({ code }: Problem): boolean {
  return ['token_required', 'token_wrong', 'too_many_guesses', 'cross_origin'].includes(code);
}
