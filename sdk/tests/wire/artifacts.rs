//! Artifacts to the master and back.

use haggle_sdk::{ArtifactError, CallError, Client, Digest, Task, TaskId};

use crate::played::Played;

async fn client(played: &Played) -> Client {
    Client::connect(&played.url()).await.unwrap()
}

#[tokio::test]
async fn a_file_goes_up_once_and_comes_back_the_same() {
    let played = Played::start().await;
    let client = client(&played).await;
    let folder = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(folder.path().join("up"), &content).unwrap();

    let digest = client.upload(folder.path().join("up")).await.unwrap();
    assert_eq!(client.upload(folder.path().join("up")).await.unwrap(), digest);
    assert_eq!(client.upload_bytes(content.clone()).await.unwrap(), digest);
    client.download(digest, folder.path().join("down")).await.unwrap();

    assert_eq!(*played.stage.uploads.lock().unwrap(), 1);
    assert_eq!(std::fs::read(folder.path().join("down")).unwrap(), content);
}

#[tokio::test]
async fn a_module_that_cannot_be_a_task_is_not_sent() {
    let played = Played::start().await;
    let client = client(&played).await;
    let folder = tempfile::tempdir().unwrap();
    let (library, program) = (folder.path().join("library.wat"), folder.path().join("program.wat"));
    std::fs::write(&library, r#"(module (func (export "add")))"#).unwrap();
    std::fs::write(&program, r#"(module (func (export "_start")))"#).unwrap();

    let refused = client.upload_module(&library).await.unwrap_err();
    let none = *played.stage.uploads.lock().unwrap();
    client.upload_module(&program).await.unwrap();

    assert!(
        refused.to_string().ends_with(
            "library.wat cannot be a task: exports no `_start` function, as a program of WASI 0.1 does: it is a library"
        ),
        "{refused}"
    );
    assert_eq!((none, *played.stage.uploads.lock().unwrap()), (0, 1));
}

#[tokio::test]
async fn an_empty_artifact_is_one_too() {
    let played = Played::start().await;

    let digest = client(&played).await.upload_bytes(Vec::new()).await.unwrap();

    assert_eq!(digest.to_string(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[tokio::test]
async fn a_download_of_other_bytes_leaves_no_file() {
    let played = Played::start().await;
    let client = client(&played).await;
    let digest = client.upload_bytes("good").await.unwrap();
    played.stage.artifacts.lock().unwrap().insert(digest.0.to_vec(), b"evil".to_vec());
    let folder = tempfile::tempdir().unwrap();

    let error = client.download(digest, folder.path().join("file")).await.unwrap_err();

    assert!(matches!(error, ArtifactError::WrongDigest { wanted, .. } if wanted == digest), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_not_there_is_said_in_one_line() {
    let played = Played::start().await;
    let client = client(&played).await;
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.wasm");

    let error = client.upload(&missing).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: ", missing.display())), "{error}");

    let error = client.download(Digest([0; 32]), folder.path().join("file")).await.unwrap_err();
    assert!(matches!(error, ArtifactError::Call(CallError::NotFound(_))), "{error}");
}

#[tokio::test]
async fn a_task_that_is_elsewhere_is_fetched_once_for_all_that_are_alike() {
    let played = Played::start().await;
    let client = client(&played).await;
    played.stage.elsewhere.lock().unwrap().extend([
        ("oci://r.example/app:1".to_owned(), b"module".to_vec()),
        ("s3://b/words".to_owned(), b"words".to_vec()),
    ]);
    let (module, words) = (client.upload_bytes("module").await.unwrap(), client.upload_bytes("words").await.unwrap());
    let task = Task::from_source("oci://r.example/app:1").input_from("/words", "s3://b/words").arg("x");

    let first = client.resolve(task.clone()).await.unwrap();
    let second = client.clone().resolve(task).await.unwrap();

    first.check().unwrap();
    let spec = first.spec(TaskId { framework: haggle_sdk::FrameworkId(1), number: 1 });
    assert_eq!((first, spec.module, spec.inputs[0].content), (second, module, words));
    let pulls = played.stage.pulls.lock().unwrap();
    let asked: Vec<_> = pulls.iter().map(|pull| (pull.source.as_str(), pull.module)).collect();
    assert_eq!(asked, [("oci://r.example/app:1", true), ("s3://b/words", false)]);
}

#[tokio::test]
async fn what_nobody_has_elsewhere_is_said_and_asked_for_again() {
    let played = Played::start().await;
    let client = client(&played).await;
    let task = Task::from_source("https://h.example/app.wasm");

    let refused = client.resolve(task.clone()).await.unwrap_err();
    played.stage.elsewhere.lock().unwrap().insert("https://h.example/app.wasm".to_owned(), Vec::new());

    assert!(
        matches!(&refused, CallError::Refused(why) if why == "https://h.example/app.wasm: nothing is there"),
        "{refused:?}"
    );
    client.resolve(task).await.unwrap().check().unwrap();
}
