package io.llamafu.examples.soak;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.examples.soak.Outcome.Adapter;
import io.llamafu.examples.soak.Schedule.Planned;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** The ledger detects everything that can be wrong. */
class LedgerTest {
    private static final Path MODELS = Path.of("models");
    private static final long HOSTILE = 9;

    @TempDir
    Path folder;

    private final Findings findings = new Findings();
    private GoldenAnswers golden;
    private Schedule schedule;
    private Ledger ledger;

    @BeforeEach
    void plan() throws IOException {
        golden = GoldenAnswers.read(MODELS.resolve("golden.jsonl"));
        schedule = new Schedule(
                golden.texts(), List.of(HostileKind.NO_TEXT), true, 10, Duration.ofSeconds(3), 1_000_000_000_000L);
        ledger = new Ledger(schedule, golden, new AdapterFolder(MODELS.resolve("adapters"), folder), findings);
    }

    @Test
    void rightOutcomesAreNoFindings() throws Exception {
        for (long number = 0; number < schedule.records(); number++) {
            if (schedule.record(number).kind() == null) {
                ledger.answer(right(number));
            } else {
                ledger.deadLetter(error(number, "INVALID_REQUEST"));
            }
        }
        rejectAll();
        ledger.close();

        assertThat(ledger.isComplete()).isTrue();
        assertThat(findings.counts()).isEmpty();
        assertThat(ledger.exact()).isEqualTo(27);
        assertThat(ledger.hostile()).hasToString("{NO_TEXT={INVALID_REQUEST=3}}");
    }

    @Test
    void wrongTextIsFound() throws Exception {
        Outcome right = right(0);
        ledger.answer(outcome(0, right.id(), right.adapters(), "something else", null));

        assertThat(findings.count(Promise.EXACT_ANSWERS)).isEqualTo(1);
        assertThat(findings.evidence(Promise.EXACT_ANSWERS).get(0)).contains("something else");
    }

    @Test
    void otherAdaptersAreFound() throws Exception {
        long number = numberWithAdapters();
        Outcome right = right(number);
        ledger.answer(outcome(number, right.id(), List.of(), right.answer(), null));
        ledger.answer(outcome(
                number,
                right.id(),
                List.of(new Adapter(right.adapters().get(0).name(), 1, "0".repeat(64))),
                right.answer(),
                null));

        assertThat(findings.count(Promise.EXACT_ANSWERS)).isEqualTo(1);
        assertThat(findings.count(Promise.ONE_OUTCOME)).as("the second outcome").isEqualTo(1);
    }

    @Test
    void errorOfHealthyRecordAndChangedIdAreFound() throws Exception {
        ledger.deadLetter(error(0, "DEADLINE_EXCEEDED"));
        Outcome right = right(1);
        ledger.answer(outcome(1, "record-2", right.adapters(), right.answer(), null));

        assertThat(findings.count(Promise.EXACT_ANSWERS)).isEqualTo(2);
    }

    @Test
    void errorThatIsNotTheRecordsOwnIsFound() {
        ledger.deadLetter(error(HOSTILE, "ENGINE_FAILED"));

        assertThat(findings.count(Promise.CODED_ERRORS)).isEqualTo(1);
    }

    @Test
    void lostRecordsAndSecondOutcomesAreFound() throws Exception {
        ledger.answer(right(0));
        ledger.answer(right(0));
        rejectAll();
        ledger.close();

        assertThat(ledger.isComplete()).isFalse();
        assertThat(findings.count(Promise.ONE_OUTCOME)).isEqualTo(1 + schedule.records() - 1);
    }

    @Test
    void routeChangesThatAreNotRejectedAreFound() {
        ledger.rejected(new RejectedChange(17, "INVALID_REQUEST", "sound"));
        ledger.close();

        assertThat(findings.count(Promise.ROUTE_CHANGES)).isEqualTo(1 + 1);
    }

    private void rejectAll() {
        schedule.routes().stream()
                .filter(Schedule.PlannedRoute::malformed)
                .forEach(route -> ledger.rejected(
                        new RejectedChange(route.change().eventTime(), "INVALID_REQUEST", "malformed")));
    }

    private long numberWithAdapters() {
        long number = 0;
        while (schedule.record(number).stack().isBase()) {
            number++;
        }
        return number;
    }

    /** The folder has published each adapter once, {@code rotating} with the weights of the first of its rotation. */
    private Outcome right(long number) throws Exception {
        Planned planned = schedule.record(number);
        List<Adapter> adapters = new ArrayList<>();
        StringBuilder contents = new StringBuilder();
        for (AdapterStack.Entry entry : planned.stack().entries()) {
            float scale = entry.scale().orElse(1f);
            adapters.add(new Adapter(entry.name(), scale, sha256(folder.resolve(entry.name() + ".gguf"))));
            contents.append(contents.isEmpty() ? "" : "+")
                    .append(entry.name().equals(AdapterFolder.ROTATING) ? AdapterFolder.ROTATION.get(0) : entry.name())
                    .append(':')
                    .append(scale);
        }
        String answer = golden.answer(planned.healthy().text(), AdapterStack.parse(contents.toString()));
        return outcome(number, planned.healthy().id(), adapters, answer, null);
    }

    private static Outcome error(long number, String code) {
        return outcome(number, "record-" + number, List.of(), null, code);
    }

    private static Outcome outcome(long number, String id, List<Adapter> adapters, String answer, String code) {
        return new Outcome(number, id, "", adapters, answer, 0L, code, code);
    }

    private static String sha256(Path file) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file)));
    }
}
