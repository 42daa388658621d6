//! `destination-exhausted`: connect() to one destination finds no port, or will soon find none.

use crate::domain::{
    DestinationUse, Evidence, Finding, Forecast, Level, Protocol, Subject,
    diagnosis::{
        finding::{About, Figure},
        remedies::{self, NOT_FIN_TIMEOUT},
        verdict::Standing,
        wording::{self, Call, client, left, maker, ports},
    },
    ephemeral::TupleReuse,
    notation::{grouped, percent},
};

/// Maximum number of findings.
const MOST: usize = 8;
/// Minimum number of used ports. With fewer, the share is not significant.
const LEAST: u32 = 8;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let rows = evidence.analysis.destinations.iter();
    // The rows are sorted by share, so no later row can be near its limit.
    let high = rows.take_while(|row| row.share() >= evidence.thresholds.warn / 2.0);
    high.filter(|row| row.used >= LEAST).filter_map(|row| of(evidence, row)).take(MOST).collect()
}

fn of(evidence: &Evidence<'_>, row: &DestinationUse) -> Option<Finding> {
    let forecast = evidence.forecast(row);
    let standing = evidence.of_destination(row);
    let level = standing.level;
    if level == Level::Ok {
        return None;
    }
    let maker = maker(evidence, &row.owners);
    let (steps, advice) = advice(evidence, row, &client(evidence, &row.owners)).into_iter().unzip();
    Some(Finding {
        rule: "destination-exhausted",
        severity: level.severity(),
        about: About::Destination(row.destination),
        summary: summary(evidence, row, &standing, &maker),
        cause: cause(evidence, row, &maker),
        steps,
        meaning: meaning(evidence, row, &standing),
        evidence: figures(evidence, row, forecast),
        advice,
        avoid: vec![
            "do not add client threads or retries: each failing connect() searches the whole \
             range, about 3ms of CPU on the default one"
                .to_owned(),
            NOT_FIN_TIMEOUT.to_owned(),
        ],
    })
}

fn summary(
    evidence: &Evidence<'_>,
    row: &DestinationUse,
    standing: &Standing,
    maker: &str,
) -> String {
    let left = left(standing);
    format!(
        "tcp {} uses {} of {} ports ({}), {left}: {maker}",
        evidence.snapshot.interfaces.route(&row.destination),
        grouped(row.used),
        grouped(row.capacity),
        percent(row.used_share()),
    )
}

fn meaning(evidence: &Evidence<'_>, row: &DestinationUse, standing: &Standing) -> String {
    let others = evidence.analysis.new_destination();
    let suspected = evidence.analysis.range(Protocol::Tcp).suspected;
    let connect = Call {
        name: "connect() to it",
        is_plural: false,
        errno: "EADDRNOTAVAIL (\"Cannot assign requested address\")",
        time_wait: row.time_wait - row.reusable,
    };
    let elsewhere = match others.most {
        0 if suspected == 0 => "No other destination has ports left either.".to_owned(),
        _ if suspected > 0 => format!(
            "A new destination very likely has at most {} to choose from (see \
             bind-before-connect).",
            ports(others.most.saturating_sub(suspected))
        ),
        _ => format!(
            "The limit is per destination: a new one has {}{others} ports to choose from.",
            wording::at_most(evidence.snapshot)
        ),
    };
    let elsewhere = match row.destination.interface {
        Some(_) => {
            format!("Sockets that are not bound to this device do not conflict. {elsewhere}")
        }
        None => elsewhere,
    };
    let doubt = doubt(evidence, row).map(|doubt| format!(" {doubt}")).unwrap_or_default();
    format!("{}{doubt} {elsewhere}", connect.fails(standing))
}

/// Says why the number of ports left is not exact.
fn doubt(evidence: &Evidence<'_>, row: &DestinationUse) -> Option<String> {
    let mut reasons = Vec::new();
    if row.uncertain > 0 {
        reasons.push(format!(
            "{} of other connections can be shared only if connect() chose them, which the \
             kernel does not show",
            ports(row.uncertain)
        ));
    }
    let perhaps = row.reusable - row.surely_reusable.min(row.reusable);
    if perhaps > 0 {
        let peer = match evidence.snapshot.allows_reuse(&row.destination) {
            TupleReuse::Yes => "",
            _ => " and the peer sends timestamps",
        };
        reasons.push(format!(
            "{} in TIME-WAIT can be reused only if connect() chose them{peer}",
            ports(perhaps)
        ));
    }
    if row.unlisted > 0 {
        reasons.push(wording::unlisted(row.unlisted));
    }
    if row.may_miss > 0 {
        reasons.push(format!(
            "the range {} has an odd number of ports, of which each search skips the first or the \
             last",
            evidence.snapshot.ephemeral.range
        ));
    }
    let reasons = reasons.join("; ");
    (!reasons.is_empty()).then(|| format!("The number left is not exact: {reasons}."))
}

fn figures(
    evidence: &Evidence<'_>,
    row: &DestinationUse,
    forecast: Option<Forecast>,
) -> Vec<(&'static str, Figure)> {
    let mut figures = vec![
        ("source", Figure::Text(row.destination.source.to_string())),
        ("destination", Figure::Text(row.destination.remote.to_string())),
        ("used", Figure::Count(row.used.into())),
        ("capacity", Figure::Count(row.capacity.into())),
        ("available", Figure::Count(row.available().into())),
        ("available_most", Figure::Count(row.left().most.into())),
        ("share", Figure::Share(row.share())),
        ("time_wait", Figure::Count(row.time_wait.into())),
        ("reusable", Figure::Count(row.reusable.into())),
        ("others_available", Figure::Count(evidence.analysis.unused_capacity().into())),
    ];
    if let Some(trend) = evidence.trend(Subject::Destination(row.destination)) {
        figures.push(("per_second", Figure::PerSecond(trend.per_second)));
        figures.push(("opened_per_second", Figure::PerSecond(trend.opened_per_second)));
    }
    if let Some(forecast) = forecast {
        figures.push(("seconds_to_exhaustion", Figure::Seconds(forecast.seconds)));
    }
    figures
}

/// Returns each advice in a few words and in full.
fn advice(evidence: &Evidence<'_>, row: &DestinationUse, client: &str) -> Vec<(String, String)> {
    let remote = row.destination.remote;
    let mut advice = Vec::new();
    let waiting = row.time_wait - row.reusable;
    if row.time_wait * 2 > row.used {
        let full = format!(
            "keep connections to {remote} open and reuse them in {client} (keep-alive, a pool): {} \
             of its {} ports are in TIME-WAIT",
            grouped(row.time_wait),
            grouped(row.used)
        );
        advice.push((format!("pool connections in {client}"), full));
    } else {
        let full = format!(
            "limit the connections that {client} opens to {remote} (a pool with a maximum), and \
             look for connections that it does not close"
        );
        advice.push((format!("limit {client}'s connections (a pool)"), full));
    }
    if waiting * 4 > row.used {
        advice.extend(remedies::reuse(&evidence.snapshot.ephemeral, &row.destination));
    }
    let full = format!(
        "add an address: each additional source address of this host, or address of {remote}, has \
         its own range (the limit is per source, destination and port)"
    );
    advice.push(("add a source address".to_owned(), full));
    let wider = remedies::wider_range(&evidence.snapshot.ephemeral);
    advice.extend(wider.map(|full| ("widen ip_local_port_range".to_owned(), full)));
    advice
}

fn cause(evidence: &Evidence<'_>, row: &DestinationUse, maker: &str) -> String {
    let open = row.used - row.time_wait;
    let opened = evidence
        .trend(Subject::Destination(row.destination))
        .filter(|trend| trend.opened_per_second >= 0.5)
        .map(|trend| format!(" opens {:.0}/s:", trend.opened_per_second));
    format!(
        "{maker}{} {} open, {} in TIME-WAIT",
        opened.as_deref().unwrap_or(":"),
        grouped(open),
        grouped(row.time_wait)
    )
}
