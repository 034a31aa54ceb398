//! More of something than anybody means, in frames that are allowed one by one. Whoever sends them is cut off or refused,
//! and others are served.

use haggle_master::Master;

use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, FRAME_MAX, GOAWAY, HEADERS, NONE, PING, RST_STREAM, Raw, SETTINGS,
    WINDOW_UPDATE, call, frame, header, string,
};
use crate::kit::{ask, channel, master, token};

/// Errors of HTTP/2.
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

const WHO_AM_I: &str = "/haggle.v1.Operator/WhoAmI";

/// Somebody else, on a connection of its own, is answered as ever.
async fn others_are_served(master: &Master) {
    let owner = master.owner_token();
    ask(channel(master, &owner.trust(), None), Some(owner)).await.unwrap();
}

#[tokio::test]
async fn headers_that_never_end_are_cut_off() {
    let master = master().await;
    let mut attacker = Raw::connect(&master).await;
    attacker.say(&frame(HEADERS, NONE, 1, &call(WHO_AM_I, None))).await;
    let more = frame(CONTINUATION, NONE, 1, &header("x", &[b'x'; FRAME_MAX - 64]));

    let mut taken = 0;
    while attacker.say(&more).await {
        taken += 1;
        assert!(taken < 4_096, "the master took 64 MiB of headers");
    }

    others_are_served(&master).await;
    let last = attacker.last_word().await;
    assert!(matches!(last, None | Some(ENHANCE_YOUR_CALM | PROTOCOL_ERROR)), "{last:?}");
}

#[tokio::test]
async fn empty_continuations_are_cut_off() {
    let master = master().await;
    let mut attacker = Raw::connect(&master).await;
    attacker.say(&frame(HEADERS, NONE, 1, &call(WHO_AM_I, None))).await;
    let more = frame(CONTINUATION, NONE, 1, &[]).repeat(1_000);

    let mut taken = 0;
    while attacker.say(&more).await {
        taken += 1;
        assert!(taken < 1_000, "the master took a million empty frames");
    }

    others_are_served(&master).await;
}

/// Says one block of headers in as many frames as it takes, or until the master hears no more.
async fn say_in_pieces(attacker: &mut Raw, block: &[u8]) {
    let mut pieces = block.chunks(FRAME_MAX).peekable();
    attacker.say(&frame(HEADERS, NONE, 1, pieces.next().unwrap())).await;
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() { END_HEADERS } else { NONE };
        if !attacker.say(&frame(CONTINUATION, flags, 1, piece)).await {
            break;
        }
    }
}

#[tokio::test]
async fn headers_of_4_mib_are_refused() {
    let master = master().await;
    let mut attacker = Raw::connect(&master).await;
    let mut block = call(WHO_AM_I, Some(master.owner_token()));
    block.extend(header("x-large", &vec![b'x'; 4 << 20]));
    say_in_pieces(&mut attacker, &block).await;

    let refused = attacker.next_error().await;

    assert!(refused.is_none_or(|error| error != 0), "{refused:?}");
    others_are_served(&master).await;
}

#[tokio::test]
async fn a_hundred_thousand_headers_are_refused() {
    let master = master().await;
    let mut attacker = Raw::connect(&master).await;
    let mut block = call(WHO_AM_I, Some(master.owner_token()));
    (0..100_000).for_each(|number| block.extend(header(&format!("x-{number}"), b"")));
    say_in_pieces(&mut attacker, &block).await;

    let refused = attacker.next_error().await;

    assert!(refused.is_none_or(|error| error != 0), "{refused:?}");
    others_are_served(&master).await;
}

/// A header that the master is to remember, and is then named by one byte again and again.
#[tokio::test]
async fn a_small_block_of_very_large_headers_is_refused() {
    let master = master().await;
    let mut attacker = Raw::connect(&master).await;
    let mut block = call(WHO_AM_I, Some(master.owner_token()));
    // Remembered under the first free index.
    block.push(0x40);
    block.extend(string(b"x-bomb"));
    block.extend(string(&[b'x'; 4_000]));
    block.extend([0x80 | 62].repeat(8_000));
    attacker.say(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)).await;

    let refused = attacker.next_error().await;

    assert!(refused.is_none_or(|error| error != 0), "32 MiB of headers were taken");
    others_are_served(&master).await;
}

#[tokio::test]
async fn ten_thousand_calls_that_are_reset_at_once_end_the_connection() {
    let master = master().await;
    let mut attacker = Raw::connect(&master).await;
    let headers = call(WHO_AM_I, Some(master.owner_token()));
    for number in 0..10_000_u32 {
        let stream = 2 * number + 1;
        let mut both = frame(HEADERS, END_HEADERS, stream, &headers);
        both.extend(frame(RST_STREAM, NONE, stream, &8_u32.to_be_bytes()));
        if !attacker.say(&both).await {
            break;
        }
    }

    others_are_served(&master).await;
    assert_eq!(attacker.last_word().await, Some(ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn ten_thousand_calls_that_never_end_are_refused_above_the_256_that_one_connection_has() {
    let master = master().await;
    let operator = token(&master, haggle_proto::v1::PrincipalKind::Operator, None).await;
    let mut attacker = Raw::connect(&master).await;
    let headers = call("/haggle.v1.Frameworks/Session", Some(&operator));
    for number in 0..10_000_u32 {
        if !attacker.say(&frame(HEADERS, END_HEADERS, 2 * number + 1, &headers)).await {
            break;
        }
    }

    let mut refused = 0;
    while refused < 100
        && let Some(frame) = attacker.next().await
    {
        if frame.error() == Some(REFUSED_STREAM) {
            refused += 1;
        } else if frame.kind == GOAWAY {
            break;
        }
    }

    others_are_served(&master).await;
}

#[tokio::test]
async fn pings_settings_and_empty_data_without_end_take_nothing_from_others() {
    let master = master().await;
    let headers = call(WHO_AM_I, Some(master.owner_token()));
    for flood in [
        frame(PING, NONE, 0, &[7; 8]),
        frame(SETTINGS, NONE, 0, &[]),
        frame(DATA, NONE, 1, &[]),
        frame(WINDOW_UPDATE, NONE, 1, &1_u32.to_be_bytes()),
    ] {
        let mut attacker = Raw::connect(&master).await;
        attacker.say(&frame(HEADERS, END_HEADERS, 1, &headers)).await;
        let flood = flood.repeat(1_000);
        for _ in 0..100 {
            // Nothing is read of what is answered. Whoever does not read is not read any more, or cut off.
            if !attacker.say(&flood).await {
                break;
            }
        }
        others_are_served(&master).await;
    }
}

#[tokio::test]
async fn a_window_that_overflows_a_frame_that_is_too_large_and_one_out_of_turn_end_the_connection() {
    let master = master().await;
    let most = 0x7fff_ffff_u32.to_be_bytes();
    for (attack, errors) in [
        (frame(WINDOW_UPDATE, NONE, 0, &most).repeat(2), [FLOW_CONTROL_ERROR, FLOW_CONTROL_ERROR]),
        (frame(PING, NONE, 0, &vec![0; 1 << 20]), [FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        (frame(CONTINUATION, END_HEADERS, 1, &[]), [PROTOCOL_ERROR, PROTOCOL_ERROR]),
        (frame(DATA, NONE, 7, b"of nothing"), [PROTOCOL_ERROR, 5]),
        (frame(HEADERS, END_HEADERS, 2, &call(WHO_AM_I, None)), [PROTOCOL_ERROR, PROTOCOL_ERROR]),
        (frame(HEADERS, END_HEADERS, 1, &[0xff; 64]), [9, PROTOCOL_ERROR]),
    ] {
        let mut attacker = Raw::connect(&master).await;
        attacker.say(&attack).await;

        let last = attacker.last_word().await;

        assert!(last.is_some_and(|last| errors.contains(&last)), "{last:?}, wanted {errors:?}");
        others_are_served(&master).await;
    }
}

#[tokio::test]
async fn another_protocol_inside_of_tls_is_hung_up_on() {
    let master = master().await;
    for words in
        [&b"GET / HTTP/1.1\r\nhost: master\r\n\r\n"[..], b"SSH-2.0-OpenSSH_9\r\n", &[0; 64], &[0x16, 3, 1, 2, 0]]
    {
        let mut attacker = Raw::silent(&master).await;
        attacker.say(words).await;
        attacker.say(&[0; 64]).await;

        let last = attacker.last_word().await;

        assert!(matches!(last, None | Some(PROTOCOL_ERROR)), "{last:?}");
        others_are_served(&master).await;
    }
}
