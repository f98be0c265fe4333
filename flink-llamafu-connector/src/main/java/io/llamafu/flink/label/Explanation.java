package io.llamafu.flink.label;

import io.llamafu.LlamafuException;

import java.io.IOException;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** What a run would do. */
final class Explanation {
    /** For a first run; later ones have counted. */
    private static final double CHARACTERS_OF_A_TOKEN = 4;

    private Explanation() {}

    /** In a few lines. */
    static String of(
            InputPlan plan,
            LabelSettings settings,
            Identity identity,
            LabelStore store,
            Map<String, PartLedger.Header> ledger) {
        RowRequests requests = new RowRequests(settings, identity);
        Map<String, List<org.apache.flink.core.fs.Path>> journals = LabelOperator.journals(store);
        long rows = 0;
        long parts = 0;
        long askedRows = 0;
        long characters = 0;
        long wrong = 0;
        for (Part part : plan.parts()) {
            rows += part.rows();
            PartLedger known =
                    PartLedger.load(store, part, journals.getOrDefault(OpenPart.journalName(part.name()), List.of()));
            if (known.isUpToDate(part, settings, identity, store)) {
                continue;
            }
            parts++;
            Set<String> asked = new HashSet<>();
            try (RowReader reader = settings.format().read(part.file(), settings.delimiter(), part.from())) {
                for (int i = 0; i < part.rows(); i++) {
                    Row row = reader.next();
                    if (row == null) {
                        break;
                    }
                    try {
                        RowRequests.Asked question = requests.of(row);
                        if (known.known(question.key()) == null && asked.add(question.key())) {
                            askedRows++;
                            characters += question.request().prompt().toString().length();
                        }
                    } catch (LlamafuException e) {
                        wrong++;
                    }
                }
            } catch (IOException e) {
                throw InputPlan.unavailable(part.file().path().getPath(), e);
            }
        }
        PartStats before = new PartStats();
        ledger.values().forEach(header -> before.add(header.stats()));
        return text(plan, rows, parts, askedRows, characters, wrong, before.asked, Report.last(store));
    }

    private static String text(
            InputPlan plan,
            long rows,
            long parts,
            long askedRows,
            long characters,
            long wrong,
            PartStats.OfRun before,
            Optional<Report.Written> last) {
        double perToken = before.promptTokens == 0
                ? CHARACTERS_OF_A_TOKEN
                : (double) before.promptCharacters / before.promptTokens;
        String generated = before.rows == 0
                ? "unknown until a run has answered some"
                : "about %d".formatted(askedRows * before.generatedTokens / before.rows);
        Optional<Double> rate = last.map(Report.Written::rowsPerSecond).filter(known -> known > 0);
        String time = askedRows == 0
                ? "none"
                : rate.map(known -> "about " + Progress.time(askedRows / known))
                        .orElse("unknown until a run has answered some");
        return String.format(
                Locale.ROOT,
                """
                %d rows of %d files, in %d output files
                to write: %d output files
                to ask: %d rows (equal ones once), about %d prompt tokens
                to generate: %s tokens
                time: %s
                without a question: %d malformed rows and rows without a text""",
                rows,
                plan.files().size(),
                plan.parts().size(),
                parts,
                askedRows,
                Math.round(characters / perToken),
                askedRows == 0 ? "0" : generated,
                time,
                wrong);
    }
}
