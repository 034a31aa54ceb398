//! What pages load beside themselves: one stylesheet, htmx with its extension for streams, three modules and an icon.

use std::fmt::Write as _;
use std::sync::OnceLock;

/// A file that every page may load. Nobody needs to be known for it.
#[derive(Debug)]
pub struct Asset {
    /// Below `/assets/`.
    pub name: &'static str,
    /// As in `Content-Type`.
    pub kind: &'static str,
    /// What it holds.
    pub content: &'static [u8],
}

const JS: &str = "text/javascript; charset=utf-8";

/// Every one. htmx is <https://htmx.org> 4.0.1 as npm has it, byte by byte, with its licence.
pub const ASSETS: [Asset; 8] = [
    Asset { name: "style.css", kind: "text/css; charset=utf-8", content: include_bytes!("../assets/style.css") },
    Asset { name: "htmx.min.js", kind: JS, content: include_bytes!("../assets/htmx/htmx.min.js") },
    Asset { name: "hx-sse.min.js", kind: JS, content: include_bytes!("../assets/htmx/hx-sse.min.js") },
    Asset { name: "app.js", kind: JS, content: include_bytes!("../assets/app.js") },
    Asset { name: "log.js", kind: JS, content: include_bytes!("../assets/log.js") },
    Asset { name: "plot.js", kind: JS, content: include_bytes!("../assets/plot.js") },
    Asset { name: "icon.svg", kind: "image/svg+xml", content: include_bytes!("../assets/icon.svg") },
    Asset {
        name: "htmx-LICENSE.txt",
        kind: "text/plain; charset=utf-8",
        content: include_bytes!("../assets/htmx/LICENSE"),
    },
];

/// The file of that name.
pub fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// Changes with any of them, so that a browser may keep each for as long as it likes.
pub fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let bytes = ASSETS.iter().flat_map(|asset| asset.content);
        // FNV-1a: it tells versions apart, and nobody gains by a collision.
        let hash = bytes
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let mut text = String::new();
        let _ = write!(text, "{hash:016x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn htmx_is_what_its_makers_published() {
        let hash = |name| {
            let hash = Sha256::digest(find(name).unwrap().content);
            hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };

        assert_eq!(hash("htmx.min.js"), "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130");
        assert_eq!(hash("hx-sse.min.js"), "18ef2761356ec1fe0bb6d92612315b37517a7c1e9856b661c5ae81fef239d103");
    }

    #[test]
    fn a_first_load_leaves_room_for_the_page_itself() {
        let loaded: usize =
            ASSETS.iter().filter(|asset| asset.name != "htmx-LICENSE.txt").map(|asset| asset.content.len()).sum();

        assert!(loaded < 80_000, "{loaded} bytes");
    }

    #[test]
    fn no_asset_names_another_host() {
        for asset in ASSETS.iter().filter(|asset| asset.name != "htmx-LICENSE.txt") {
            let text = std::str::from_utf8(asset.content).unwrap();
            let strange = text
                .match_indices("://")
                .filter(|(at, _)| !text[..*at].ends_with("http") || !text[*at..].starts_with("://www.w3.org/"));

            assert_eq!(strange.count(), 0, "{}", asset.name);
        }
    }
}
