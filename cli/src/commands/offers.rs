//! `haggle offers`.

use haggle_core::OfferId;
use haggle_core::cluster::OfferView;

use super::Verdict;
use crate::args::OffersArgs;
use crate::output::record::OfferRecord;
use crate::output::{self, Lines, OutputError, Table};
use crate::target::Target;

pub(super) async fn run(target: &Target, args: OffersArgs) -> Verdict {
    let client = super::connect(target).await?;
    if args.list.json {
        output::lines(client.offers_as(lines).await?)?;
    } else {
        let mut offers = client.offers().await?;
        offers.sort_by_key(|offer| offer.id);
        output::line(&table(&offers).to_string())?;
    }
    Ok(0)
}

fn lines(offers: &[OfferView]) -> Result<Lines<OfferId>, OutputError> {
    Lines::of(offers.iter().map(|offer| (offer.id, OfferRecord::from(offer))))
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
