//! The nginx and the DNS example of docs/clients.md, with a node killed under them.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::multipart::{Form, Part};
use testkit::{Cluster, ClusterBuilder, leave_out};

use crate::request::LIMIT;

/// The name of the guide.
const NAME: &str = "stego.example";
/// Addresses of the guide's nodes.
const NODES: [&str; 3] = ["172.20.10.2:8081", "172.20.10.3:8082", "172.20.10.4:8083"];
const CLIENTS: usize = 6;
const EMBEDS: usize = 15;

fn guide() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/clients.md")).unwrap()
}

fn cluster() -> Cluster {
    let cluster = ClusterBuilder::new().set("security.hosts", NAME).start();
    cluster.wait_all_healthy();
    cluster
}

/// True if the program is installed; in CI a missing program fails the test.
fn has(program: &str) -> bool {
    let started = Command::new(program).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if let Err(error) = &started {
        leave_out(program, &error.to_string());
    }
    started.is_ok()
}

/// A running nginx, stopped when dropped.
struct Nginx(Child);

impl Nginx {
    /// Starts the proxy with the guide's configuration, in front of the given nodes.
    fn start(cluster: &Cluster, listen: SocketAddr) -> Self {
        let guide = guide();
        let (_, block) = guide.split_once("```nginx\n").unwrap();
        let mut servers =
            block.split_once("```").unwrap().0.replace("listen 80;", &format!("listen {listen};"));
        for (i, node) in NODES.iter().enumerate() {
            assert!(servers.contains(node));
            servers = servers.replace(node, &cluster.address(i).to_string());
        }
        let folder = cluster.folder().join("nginx");
        fs::create_dir(&folder).unwrap();
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {}/{kind};\n", folder.display()))
            .concat();
        let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
        let config = format!(
            "{user}daemon off;\npid {0}/pid;\nerror_log {0}/error.log;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{servers}}}\n",
            folder.display()
        );
        fs::write(folder.join("nginx.conf"), config).unwrap();
        let nginx = Command::new("nginx")
            .args(["-e", "stderr", "-c"])
            .arg(folder.join("nginx.conf"))
            .spawn()
            .map(Self)
            .unwrap();
        cluster.wait_until("nginx", LIMIT, |_| std::net::TcpStream::connect(listen).ok());
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM, so that its worker ends too.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_behind_nginx_do_not_notice_that_a_node_dies() {
    if !has("nginx") {
        return;
    }
    let mut cluster = cluster();
    let leader = cluster.wait_for_leader();
    let listen = SocketAddr::new(cluster.address(0).ip(), 8090);
    let nginx = Nginx::start(&cluster, listen);
    let client = reqwest::Client::builder().resolve(NAME, listen).timeout(LIMIT).build().unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (client, done) = (client.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                for _ in 0..EMBEDS {
                    let form = Form::new().part("file", Part::bytes(vec![7; 5000]).file_name("a"));
                    let url = format!("http://{NAME}:{}/api/embed", listen.port());
                    let answer = client.post(url).multipart(form).send().await.unwrap();
                    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    cluster.wait_until("a third of the embeds", LIMIT, |_| {
        (done.load(Ordering::Relaxed) >= CLIENTS * EMBEDS / 3).then_some(())
    });
    cluster.kill(leader);
    for client in clients {
        client.await.unwrap();
    }
    drop(nginx);
}

#[test]
fn curl_passes_over_a_dead_node_of_a_name() {
    if !has("curl") {
        return;
    }
    let mut cluster = cluster();
    let leader = cluster.wait_for_leader();
    cluster.kill(leader);
    let guide = guide();
    let command = guide.lines().find_map(|line| line.strip_prefix("$ curl ")).unwrap();
    // The dead one first.
    let order = [leader, (leader + 1) % 3, (leader + 2) % 3];
    let addresses = order.map(|i| cluster.address(i).ip().to_string()).join(",");
    fs::write(cluster.folder().join("secret.txt"), "secret").unwrap();
    let command = format!("curl -s --resolve {NAME}:8081:{addresses} {command}");
    let output = Command::new("sh").args(["-c", &command]).current_dir(cluster.folder()).output().unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    assert!(fs::read(cluster.folder().join("hidden.png")).unwrap().starts_with(b"\x89PNG"));
}
