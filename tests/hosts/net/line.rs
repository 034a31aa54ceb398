//! A long line between two namespaces: what is sent into one end comes out of the other later, or not at all.
//!
//! Its ends are TAP devices, and two threads for each way carry frames. Not every kernel has `netem`, and this is the same
//! everywhere.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::ioctl::{Opcode, Updater, ioctl};

use super::Namespace;

/// What a line does to frames, each way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// How long each is under way.
    pub(crate) delay: Duration,
    /// How many of a thousand are lost, at random.
    pub(crate) lost_of_1000: u32,
}

impl Weather {
    /// As through a short cable.
    pub(crate) const FAIR: Self = Self { delay: Duration::ZERO, lost_of_1000: 0 };
}

/// A line; it is cut with its value.
pub(crate) struct Line {
    weather: Arc<Now>,
    ends: [(Namespace, String); 2],
}

/// The weather as the threads read it.
struct Now {
    delay_us: AtomicU64,
    lost_of_1000: AtomicU32,
    /// Frames that were lost to it.
    lost: AtomicU64,
}

impl Line {
    /// Whether this machine has what a line is made of.
    pub(crate) fn is_possible() -> bool {
        File::open("/dev/net/tun").is_ok()
    }

    /// Makes a device of these names in each of the two, in fair weather.
    pub(crate) fn between(one: (&Namespace, &str), other: (&Namespace, &str)) -> Self {
        let weather = Arc::new(Now { delay_us: 0.into(), lost_of_1000: 0.into(), lost: 0.into() });
        let ends = [one, other].map(|(namespace, name)| (namespace.clone(), name.to_owned()));
        let [one, other] = [one, other].map(|(namespace, name)| namespace.inside(|| tap(name)));
        let clone = |device: &File| device.try_clone().expect("a file can be shared");
        carry(clone(&one), clone(&other), Arc::clone(&weather), 1);
        carry(other, one, Arc::clone(&weather), 2);
        Self { weather, ends }
    }

    /// Changes the weather for all frames from now on.
    pub(crate) fn set(&self, weather: Weather) {
        let delay = u64::try_from(weather.delay.as_micros()).expect("a delay is short");
        self.weather.delay_us.store(delay, Ordering::Relaxed);
        self.weather.lost_of_1000.store(weather.lost_of_1000, Ordering::Relaxed);
    }

    /// How many frames it has lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.weather.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // A read from a device that is gone ends, and with it its thread. One that cannot be removed goes with its namespace.
        for (namespace, name) in &self.ends {
            let _ = std::process::Command::new("ip").args(["-n", namespace.name(), "link", "del", name]).output();
        }
    }
}

/// Carries frames one way until one of the devices is gone.
fn carry(mut from: File, mut to: File, weather: Arc<Now>, seed: u64) {
    let (sent, under_way) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut frame = [0; 4096];
        while let Ok(length) = from.read(&mut frame) {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            if dice % 1000 < u64::from(weather.lost_of_1000.load(Ordering::Relaxed)) {
                weather.lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let due = Instant::now() + Duration::from_micros(weather.delay_us.load(Ordering::Relaxed));
            if sent.send((due, frame[..length].to_vec())).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (due, frame) in under_way {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            // A device that is down takes nothing, as a cable that is not plugged in does.
            let _ = to.write(&frame);
        }
    });
}

/// A TAP device in the namespace of this thread, gone when it is closed.
fn tap(name: &str) -> File {
    /// As `struct ifreq` of `linux/if.h`, with the flags in the place of its union.
    #[repr(C)]
    struct Request {
        name: [u8; 16],
        flags: u16,
        rest: [u8; 22],
    }
    /// `TUNSETIFF` of `linux/if_tun.h`, and its flags for frames without a header of their own.
    const TUNSETIFF: Opcode = 0x4004_54ca;
    const IFF_TAP: u16 = 0x0002;
    const IFF_NO_PI: u16 = 0x1000;

    let device = OpenOptions::new().read(true).write(true).open("/dev/net/tun").expect("there is /dev/net/tun");
    let mut request = Request { name: [0; 16], flags: IFF_TAP | IFF_NO_PI, rest: [0; 22] };
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: TUNSETIFF reads and writes a `struct ifreq`, which `Request` is in size and layout.
    #[expect(unsafe_code, reason = "no crate that we have makes TAP devices")]
    let made = unsafe { ioctl(&device, Updater::<TUNSETIFF, Request>::new(&mut request)) };
    made.expect("root may make a device");
    device
}
