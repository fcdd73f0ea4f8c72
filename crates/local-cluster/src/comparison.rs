//! Comparison of acknowledged writes with what a node shows and answers.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

use api::settings::{Setting, SettingsPage};

use crate::http::{Connection, Reply};
use crate::writer::{JournalEntry, put_setting};

/// Settings in a page.
const PAGE_LEN: u32 = 100;

/// Compares the settings of a node, read linearizable, with acknowledged writes. Returns a text for each lost
/// write.
///
/// # Errors
/// If the node does not answer with its settings.
pub fn lost_writes(connection: &mut Connection, writes: &[JournalEntry]) -> io::Result<Vec<String>> {
    let settings = read_settings(connection)?;
    let compared = writes.iter().map(|write| {
        let found = settings.get(&write.acknowledged.setting);
        write.acknowledged.compare(found.map(|setting| (setting.version, &setting.value)))
    });
    Ok(compared.filter_map(|compared| Some(compared.err()?.to_string())).collect())
}

fn read_settings(connection: &mut Connection) -> io::Result<BTreeMap<String, Setting>> {
    let (mut settings, mut after) = (BTreeMap::new(), String::new());
    loop {
        let path = format!("/cluster/settings?limit={PAGE_LEN}&consistency=linearizable{after}");
        let reply = connection.get(&path)?;
        let page: SettingsPage = serde_json::from_slice(&reply.body).map_err(|_| unexpected(&reply))?;
        settings.extend(page.settings.into_iter().map(|setting| (setting.key.clone(), setting)));
        match page.next {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(settings),
        }
    }
}

/// Sends an acknowledged write again under the same idempotency key. Returns a text if the answer is not that
/// of the first time: the write was then applied twice.
///
/// # Errors
/// If the node does not answer.
pub fn repeat_write(
    connection: &mut Connection,
    token: &str,
    write: &JournalEntry,
) -> io::Result<Option<String>> {
    let reply = put_setting(connection, token, &write.acknowledged.setting, &write.key)?;
    let is_same = reply.status == 200 && reply.json().as_ref() == Some(&write.body);
    let text = || format!("{} for a repetition of {}", unexpected(&reply), write.body);
    Ok((!is_same).then(text))
}

fn unexpected(reply: &Reply) -> io::Error {
    let text = format!("answer {} {}", reply.status, String::from_utf8_lossy(&reply.body));
    io::Error::new(ErrorKind::InvalidData, text)
}
