//! `destination-exhausted`: connect() to one destination finds no port, or soon none.

use crate::domain::{
    DestinationUse, Evidence, Finding, Forecast, Level, Protocol, Subject,
    diagnosis::{
        finding::{About, Figure},
        remedies::{self, NOT_FIN_TIMEOUT},
        verdict::Standing,
        wording::{Call, client, grouped, left, maker, percent},
    },
};

/// Told at most.
const MOST: usize = 8;
/// A share of fewer ports says nothing.
const LEAST: u32 = 8;

pub(super) fn check(evidence: &Evidence<'_>) -> Vec<Finding> {
    let rows = evidence.analysis.destinations.iter();
    // They stand in the order of their shares; from here on none can be near its end.
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
        summary: summary(row, &standing, &maker),
        cause: cause(evidence, row, &maker),
        steps,
        meaning: meaning(evidence, row, &standing),
        evidence: figures(evidence, row, forecast),
        advice,
        avoid: vec![
            "do not add client threads or retries: each failing connect() walks the whole range, \
             about 3 ms of CPU on the default one"
                .to_owned(),
            NOT_FIN_TIMEOUT.to_owned(),
        ],
    })
}

fn summary(row: &DestinationUse, standing: &Standing, maker: &str) -> String {
    let remote = row.destination.remote;
    let left = left(standing);
    format!(
        "tcp {} → {remote} uses {} of {} ports ({}), {left}: {maker}",
        row.destination.source,
        grouped(row.used),
        grouped(row.capacity),
        percent(row.share()),
    )
}

fn meaning(evidence: &Evidence<'_>, row: &DestinationUse, standing: &Standing) -> String {
    let others = evidence.analysis.unused_capacity();
    let connect = Call {
        name: "connect() to it",
        is_plural: false,
        errno: "EADDRNOTAVAIL (\"Cannot assign requested address\")",
        time_wait: row.time_wait - row.reusable,
    };
    let elsewhere = match (others, evidence.analysis.range(Protocol::Tcp).suspected) {
        (0, _) => "No other destination has a port left either.".to_owned(),
        (_, suspected) if suspected > 0 => format!(
            "Another destination has at most {} ports to choose from, see bind-before-connect.",
            grouped(others - suspected.min(others)),
        ),
        _ => format!(
            "The limit is per destination: a new one has at most {} ports to choose from.",
            grouped(others)
        ),
    };
    format!("{} {elsewhere}", connect.fails(standing))
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

/// Each in a few words, and in full.
fn advice(evidence: &Evidence<'_>, row: &DestinationUse, client: &str) -> Vec<(String, String)> {
    let remote = row.destination.remote;
    let mut advice = Vec::new();
    let time_wait = row.time_wait - row.reusable;
    if row.time_wait * 2 > row.used {
        let full = format!(
            "keep connections to {remote} open and use them again in {client} (keep-alive, a \
             pool): {} of its {} ports are in TIME-WAIT",
            grouped(row.time_wait),
            grouped(row.used)
        );
        advice.push((format!("pool connections in {client}"), full));
    } else {
        let full = format!(
            "bound the connections that {client} opens to {remote} (a pool with a limit), and look \
             for ones that it does not close"
        );
        advice.push((format!("bound the connections of {client}"), full));
    }
    if time_wait * 4 > row.used && evidence.snapshot.ephemeral.tw_reuse != Some(1) {
        let full = "sysctl -w net.ipv4.tcp_tw_reuse=1: connect() may then take a port again 1 s \
                    after it went into TIME-WAIT";
        advice.push(("tcp_tw_reuse=1".to_owned(), full.to_owned()));
    }
    let full = format!(
        "add an address: each further source address of this machine, or address of {remote}, has \
         a range of its own (the limit is per source, destination and port)"
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
