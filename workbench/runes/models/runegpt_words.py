"""The sentences of `runegpt-v2`'s report in three languages; numbers stand as {figure}.

`{mints:mint|mints}` is the word for one and for many of a figure. A sentence is said where all
of its figures are known; a method and a reason are words, not figures.
"""

from __future__ import annotations

SENTENCES: dict[str, dict[str, str]] = {
    "en_US": {
        "extent": "The batch covers {blocks} {blocks:block|blocks}, from height {first_height} to "
        "{last_height}, and speaks of {runes} {runes:rune|runes}.",
        "range": "The batch reaches from height {first_height} to {last_height}, and speaks of "
        "{runes} {runes:rune|runes}.",
        "events": "It holds {etchings} {etchings:etching|etchings}, {mints} {mints:mint|mints} and "
        "{transfers} {transfers:transfer|transfers}.",
        "moves": "It holds {mints} {mints:mint|mints} and {transfers} "
        "{transfers:transfer|transfers}.",
        "transfers": "It holds {transfers} {transfers:transfer|transfers}.",
        "top_rune": "The most minted rune is {top_rune} with {top_rune_pct} % of all mints.",
        "receivers": "The mints went to {receivers} {receivers:receiver|different receivers}; the "
        "busiest one took {top_receiver_pct} % of them.",
        "fees": "The median fee of a mint is {median_fee_sat} satoshi.",
        "cenotaphs": "Of the Runes messages, {cenotaph_pct} % were malformed (cenotaphs).",
        "change": "Compared with the first part of the batch, the events of an equally long last "
        "part changed by {change_pct} %.",
        "forecast": "Over the next {horizon_days} {horizon_days:day|days} some {events_expected} "
        "events are expected, by the method {method}.",
        "interval": "The last {step} of them should bring between {last_low} and {last_high} "
        "events (interval of {confidence_pct} %).",
        "skill": "In the backtest the forecast was {skill_pct} % better than the simplest methods "
        "(MASE {mase}).",
        "no_skill": "In the backtest no method was better than the simplest ones (MASE {mase}): "
        "read the forecast as the level of late, not as a prediction.",
        "scenario": "In the scenario chosen ({scenario}) it would be {events_scenario} events.",
        "no_forecast": "There is no forecast: the batch covers too little history, or has gaps.",
        "no_model": "Templates wrote this report: no language model was loaded.",
    },
    "pt_BR": {
        "extent": "O lote cobre {blocks} {blocks:bloco|blocos}, da altura {first_height} à "
        "{last_height}, e trata de {runes} {runes:runa|runas}.",
        "range": "O lote vai da altura {first_height} à {last_height}, e trata de {runes} "
        "{runes:runa|runas}.",
        "events": "Nele há {etchings} {etchings:gravação|gravações}, {mints} "
        "{mints:cunhagem|cunhagens} e {transfers} {transfers:transferência|transferências}.",
        "moves": "Nele há {mints} {mints:cunhagem|cunhagens} e {transfers} "
        "{transfers:transferência|transferências}.",
        "transfers": "Nele há {transfers} {transfers:transferência|transferências}.",
        "top_rune": "A runa mais cunhada é {top_rune}, com {top_rune_pct} % de todas as cunhagens.",
        "receivers": "As cunhagens foram para {receivers} {receivers:destinatário|destinatários "
        "diferentes}; o mais ativo ficou com {top_receiver_pct} % delas.",
        "fees": "A mediana da taxa paga por uma cunhagem é de {median_fee_sat} satoshis.",
        "cenotaphs": "Das mensagens Runes, {cenotaph_pct} % eram malformadas (cenotáfios).",
        "change": "Em comparação com a primeira parte do lote, os eventos da última parte, de "
        "mesma duração, mudaram {change_pct} %.",
        "forecast": "Para {horizon_days:o próximo dia|os próximos dias} ({horizon_days}) "
        "esperam-se cerca de {events_expected} eventos, pelo método {method}.",
        "interval": "No fim desse prazo, {step} deve trazer entre {last_low} e {last_high} eventos "
        "(intervalo de {confidence_pct} %).",
        "skill": "No teste retrospectivo a previsão foi {skill_pct} % melhor que os métodos mais "
        "simples (MASE {mase}).",
        "no_skill": "No teste retrospectivo nenhum método foi melhor que os mais simples (MASE "
        "{mase}): leia a previsão como o nível recente, não como um prognóstico.",
        "scenario": "No cenário escolhido ({scenario}) seriam {events_scenario} eventos.",
        "no_forecast": "Não há previsão: o lote cobre história de menos, ou tem lacunas.",
        "no_model": "Frases prontas formam este relatório: nenhum modelo de linguagem estava "
        "carregado.",
    },
    "es_ES": {
        "extent": "El lote abarca {blocks} {blocks:bloque|bloques}, de la altura {first_height} a "
        "la {last_height}, y habla de {runes} {runes:runa|runas}.",
        "range": "El lote va de la altura {first_height} a la {last_height}, y habla de {runes} "
        "{runes:runa|runas}.",
        "events": "Contiene {etchings} {etchings:grabado|grabados}, {mints} "
        "{mints:acuñación|acuñaciones} y {transfers} {transfers:transferencia|transferencias}.",
        "moves": "Contiene {mints} {mints:acuñación|acuñaciones} y {transfers} "
        "{transfers:transferencia|transferencias}.",
        "transfers": "Contiene {transfers} {transfers:transferencia|transferencias}.",
        "top_rune": "La runa más acuñada es {top_rune}, con el {top_rune_pct} % de las "
        "acuñaciones.",
        "receivers": "Las acuñaciones fueron a {receivers} {receivers:receptor|receptores "
        "distintos}; el más activo se quedó con el {top_receiver_pct} % de ellas.",
        "fees": "La mediana de la comisión de una acuñación es de {median_fee_sat} satoshis.",
        "cenotaphs": "De los mensajes Runes, el {cenotaph_pct} % estaba mal formado (cenotafios).",
        "change": "En comparación con la primera parte del lote, los eventos de la última, igual "
        "de larga, cambiaron un {change_pct} %.",
        "forecast": "Para {horizon_days:el próximo día|los próximos días} ({horizon_days}) se "
        "esperan unos {events_expected} eventos, por el método {method}.",
        "interval": "Al final de ese plazo, {step} debería traer entre {last_low} y {last_high} "
        "eventos (intervalo del {confidence_pct} %).",
        "skill": "En la prueba retrospectiva el pronóstico fue un {skill_pct} % mejor que los "
        "métodos más simples (MASE {mase}).",
        "no_skill": "En la prueba retrospectiva ningún método fue mejor que los más simples (MASE "
        "{mase}): lea el pronóstico como el nivel reciente, no como una predicción.",
        "scenario": "En el escenario elegido ({scenario}) serían {events_scenario} eventos.",
        "no_forecast": "No hay pronóstico: el lote abarca demasiado poca historia, o tiene huecos.",
        "no_model": "Este informe está hecho de frases fijas: no había ningún modelo de lenguaje "
        "cargado.",
    },
}

TERMS: dict[str, dict[str, str]] = {
    "en_US": {
        "naive": "last value",
        "seasonal-naive": "last season",
        "seasonal-walk": "seasonal walk",
        "season": "season",
        "season-and-trend": "season and trend",
        "autoregression": "autoregression",
        "bull": "bull",
        "bear": "bear",
        "sideways": "sideways",
        "day": "day",
        "hour": "hour",
    },
    "pt_BR": {
        "naive": "último valor",
        "seasonal-naive": "última temporada",
        "seasonal-walk": "passeio sazonal",
        "season": "sazonalidade",
        "season-and-trend": "sazonalidade e tendência",
        "autoregression": "autorregressão",
        "bull": "alta",
        "bear": "baixa",
        "sideways": "lateral",
        "day": "um dia",
        "hour": "uma hora",
    },
    "es_ES": {
        "naive": "último valor",
        "seasonal-naive": "última temporada",
        "seasonal-walk": "paseo estacional",
        "season": "estacionalidad",
        "season-and-trend": "estacionalidad y tendencia",
        "autoregression": "autorregresión",
        "bull": "alcista",
        "bear": "bajista",
        "sideways": "lateral",
        "day": "un día",
        "hour": "una hora",
    },
}
"""Methods, scenarios and steps by their names in the data."""

LANGUAGES = {"en_US": "English", "pt_BR": "Brazilian Portuguese", "es_ES": "Spanish"}
