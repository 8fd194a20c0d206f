//! A hub on loopback and an empty cache, and the models it serves.

use std::cell::RefCell;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use crate::mock_hub::{Hub, State, sha256};
use icl_mask::base::error::InputError;
use icl_mask::hub::{DownloadProgress, HubSettings, ModelFiles, Snapshot, fetch};

pub const MAIN: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
pub const PR: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
pub const INDEX: &str = "model.safetensors.index.json";

/// A safetensors file of one tensor of so many bytes.
pub fn tensor_file(bytes: usize, seed: u8) -> Vec<u8> {
    let header = format!(r#"{{"w":{{"dtype":"U8","shape":[{bytes}],"data_offsets":[0,{bytes}]}}}}"#);
    let body = (0..bytes).map(|i| (i % 251) as u8 ^ seed);
    (header.len() as u64).to_le_bytes().into_iter().chain(header.bytes()).chain(body).collect()
}

/// A model with one weight file.
pub fn model() -> State {
    let mut state = State::default();
    for (name, content) in [
        ("config.json", br#"{"a":1}"#.to_vec()),
        ("tokenizer.json", br#"{"b":2}"#.to_vec()),
        ("generation_config.json", br#"{"c":3}"#.to_vec()),
        ("README.md", b"not wanted".to_vec()),
        ("pytorch_model.bin", b"not wanted".to_vec()),
        ("model.safetensors", tensor_file(300_000, 0)),
    ] {
        state.files.insert(name.into(), content);
    }
    state.revisions =
        [("main".into(), MAIN.into()), ("refs/pr/1".into(), PR.into()), (MAIN.into(), MAIN.into())].into();
    state
}

/// A model with two weight files and one that its index does not name.
pub fn sharded() -> State {
    let mut state = model();
    state.files.remove("model.safetensors");
    state
        .files
        .insert(INDEX.into(), br#"{"weight_map":{"x":"m-1.safetensors","y":"m-2.safetensors"}}"#.to_vec());
    for (name, seed) in [("m-1.safetensors", 1), ("m-2.safetensors", 2), ("m-3.safetensors", 3)] {
        state.files.insert(name.into(), tensor_file(1000, seed));
    }
    state
}

/// A hub and an empty cache.
pub struct Bench {
    pub hub: Hub,
    pub folder: tempfile::TempDir,
    pub settings: HubSettings,
    pub notes: RefCell<Vec<String>>,
}

impl Bench {
    pub fn new(state: State) -> Self {
        let hub = Hub::start(state);
        let folder = tempfile::tempdir().unwrap();
        let settings = HubSettings {
            endpoint: hub.endpoint.clone(),
            cache: folder.path().join("hub"),
            token: None,
            offline: false,
            roots: None,
            timeout: Duration::from_secs(10),
            pause: Duration::from_millis(1),
        };
        Self { hub, folder, settings, notes: RefCell::default() }
    }

    pub fn try_fetch(&self, id: &str, wanted: ModelFiles) -> anyhow::Result<Snapshot> {
        let progress = |progress: DownloadProgress| match progress {
            DownloadProgress::Note(note) => self.notes.borrow_mut().push(note),
            DownloadProgress::File { done, size, name } => assert!(done <= size, "{name}"),
        };
        fetch(&id.parse()?, wanted, &self.settings, &progress)
    }

    pub fn weights(&self) -> anyhow::Result<Snapshot> {
        self.try_fetch("o/n", ModelFiles::Weights)
    }

    /// The sentence and whether it is the user's mistake.
    pub fn failure(&self, id: &str, wanted: ModelFiles) -> (String, bool) {
        let error = self.try_fetch(id, wanted).unwrap_err();
        (format!("{error:#}"), error.chain().any(|e| e.is::<InputError>()))
    }

    /// A mistake of the user's whose sentence holds these parts.
    pub fn assert_input(&self, parts: &[&str]) {
        let (sentence, is_input) = self.failure("o/n", ModelFiles::Weights);
        assert!(is_input, "not the user's mistake: {sentence}");
        parts.iter().for_each(|part| assert!(sentence.contains(part), "no `{part}` in: {sentence}"));
    }

    /// Nobody's mistake here, in a sentence that holds these parts.
    pub fn assert_fault(&self, parts: &[&str]) {
        let (sentence, is_input) = self.failure("o/n", ModelFiles::Weights);
        assert!(!is_input, "the user's mistake: {sentence}");
        parts.iter().for_each(|part| assert!(sentence.contains(part), "no `{part}` in: {sentence}"));
    }

    pub fn model(&self) -> PathBuf {
        self.settings.cache.join("models--o--n")
    }

    pub fn blobs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.model().join("blobs")).map(|entries| entries.collect::<Vec<_>>());
        let names = entries.unwrap_or_default().into_iter().map(|e| e.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn content(&self, name: &str) -> Vec<u8> {
        self.hub.state().files[name].clone()
    }

    /// The blob of the weights.
    pub fn blob(&self) -> PathBuf {
        self.model().join("blobs").join(sha256(&self.content("model.safetensors")))
    }

    pub fn incomplete(&self) -> PathBuf {
        self.blob().with_extension("incomplete")
    }

    /// An address where nobody is.
    pub fn unplug(&mut self) {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        self.settings.endpoint = format!("http://{free}");
    }

    /// Whether some note holds the text.
    pub fn noted(&self, text: &str) -> bool {
        self.notes.borrow().iter().any(|note| note.contains(text))
    }

    /// Every file of the snapshot is what the hub holds.
    pub fn assert_good(&self, snapshot: &Snapshot, names: &[&str]) {
        let mut found: Vec<String> = fs::read_dir(&snapshot.folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        let mut names = names.to_vec();
        names.sort();
        assert_eq!(found, names);
        for name in names {
            assert!(fs::read(snapshot.folder.join(name)).unwrap() == self.content(name), "{name} differs");
        }
    }
}
