//! A connection between two processes of one user on one machine, to be read by one thread and written by another.
//!
//! Each system has its own: a socket on Unix, a named pipe on Windows. What they have in common: an end is closed with its
//! last clone, what was written before is still read, and then the other side reads the end.

#[cfg(unix)]
mod link;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::{Listener, connect};
#[cfg(unix)]
pub use unix::{Reader, Socket};
#[cfg(windows)]
pub(super) use windows::{Listener, connect};
#[cfg(windows)]
pub use windows::{Reader, Socket};

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Both ends of a connection.
    fn connection() -> (Socket, Socket) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = Listener::bind(&path).unwrap();
        let here = connect(&path).unwrap();
        (here, listener.accept().unwrap())
    }

    #[test]
    fn what_is_written_is_read_and_then_the_end() {
        let (mut here, mut there) = connection();
        here.write_all(b"hello").unwrap();
        drop(here);

        let mut heard = Vec::new();
        there.read_to_end(&mut heard).unwrap();

        assert_eq!(heard, b"hello");
    }

    #[test]
    fn one_thread_writes_while_another_waits_for_what_is_read() {
        let (mut here, mut there) = connection();
        let mut reader = here.clone();
        let waiting = thread::spawn(move || {
            let mut heard = [0; 3];
            reader.read_exact(&mut heard).map(|()| heard)
        });

        here.write_all(b"you?").unwrap();
        let mut asked = [0; 4];
        there.read_exact(&mut asked).unwrap();
        there.write_all(b"me!").unwrap();

        assert_eq!((&asked, &waiting.join().unwrap().unwrap()), (b"you?", b"me!"));
    }

    #[test]
    fn more_than_there_is_room_for_waits_for_its_reader() {
        const MUCH: usize = 4 << 20;
        let (mut here, mut there) = connection();
        let writing = thread::spawn(move || here.write_all(&vec![7; MUCH]));

        let mut heard = Vec::new();
        there.read_to_end(&mut heard).unwrap();

        assert_eq!(heard.len(), MUCH);
        writing.join().unwrap().unwrap();
    }

    #[test]
    fn a_read_with_patience_gives_up_and_loses_nothing() {
        let (mut here, mut there) = connection();
        there.set_patience(Some(Duration::from_millis(20))).unwrap();
        let given_up = there.read(&mut [0; 8]).unwrap_err().kind();

        here.write_all(b"late").unwrap();
        there.set_patience(None).unwrap();
        let mut heard = [0; 4];
        there.read_exact(&mut heard).unwrap();

        assert!(matches!(given_up, io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock), "{given_up}");
        assert_eq!(&heard, b"late");
    }

    #[tokio::test]
    async fn a_task_that_reads_keeps_nobody_on_its_thread_from_writing() {
        let (mut here, there) = connection();
        let mut reader = Reader::new(there).unwrap();
        let writing = tokio::spawn(async move {
            here.write_all(b"hello").unwrap();
            here
        });

        let mut heard = [0; 8];
        assert_eq!(reader.read(&mut heard).await.unwrap(), 5);
        assert_eq!(&heard[..5], b"hello");
        drop(writing.await.unwrap());

        assert_eq!(reader.read(&mut heard).await.unwrap(), 0);
    }

    #[test]
    fn one_after_the_other_may_connect() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = Listener::bind(&path).unwrap();
        for round in 0..3_u8 {
            let mut here = connect(&path).unwrap();
            let mut there = listener.accept().unwrap();

            here.write_all(&[round]).unwrap();
            let mut heard = [0];
            there.read_exact(&mut heard).unwrap();

            assert_eq!(heard, [round]);
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_path_may_be_longer_than_the_name_of_a_socket() {
        let dir = tempfile::tempdir().unwrap();
        let (short, long) = (dir.path().join("x"), dir.path().join("x".repeat(150)));
        std::fs::create_dir(&short).unwrap();
        let listener = Listener::bind(&short.join("socket")).unwrap();
        std::fs::rename(&short, &long).unwrap();

        let mut here = connect(&long.join("socket")).unwrap();
        here.write_all(b"hello").unwrap();

        let mut heard = [0; 5];
        listener.accept().unwrap().read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hello");
    }

    #[test]
    fn nobody_connects_where_nobody_listens() {
        let dir = tempfile::tempdir().unwrap();

        assert!(connect(&dir.path().join("socket")).is_err());
    }
}
