//! `haggle offers`.

use haggle_core::cluster::OfferView;

use super::Verdict;
use crate::args::OffersArgs;
use crate::output::record::OfferRecord;
use crate::output::{self, Table};
use crate::target::Target;

pub(super) async fn run(target: &Target, args: OffersArgs) -> Verdict {
    let mut offers = super::connect(target).await?.offers().await?;
    offers.sort_by_key(|offer| offer.id);
    let records: Vec<OfferRecord> = offers.iter().map(Into::into).collect();
    output::list(&records, args.list.json, || table(&offers))?;
    Ok(0)
}

fn table(offers: &[OfferView]) -> Table {
    let mut table = Table::new(["OFFER", "FRAMEWORK", "ROLE", "AGENT", ">AGE", "RESOURCES"]);
    for offer in offers {
        table.row([
            offer.id.to_string(),
            offer.framework.to_string(),
            offer.role.clone(),
            offer.agent.to_string(),
            output::seconds(offer.age),
            offer.volumes.iter().fold(offer.resources.to_string(), |all, volume| format!("{all}, {}", volume.id)),
        ]);
    }
    table
}
