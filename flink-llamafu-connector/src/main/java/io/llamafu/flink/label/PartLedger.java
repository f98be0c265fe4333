package io.llamafu.flink.label;

import com.fasterxml.jackson.core.JsonProcessingException;
import io.llamafu.adapter.AdapterStack;
import org.apache.flink.core.fs.Path;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import javax.annotation.Nullable;
import java.io.IOException;
import java.io.OutputStream;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What is known of a part before it is labelled: how its rows were written, and the answers to its questions.
 *
 * @param header of the rows that are there; empty if there are none, or they were being written when a run ended
 * @param answers by key, also those that were not needed last time
 */
record PartLedger(Optional<Header> header, Map<String, Answer> answers) {
    private static final Logger LOG = LoggerFactory.getLogger(PartLedger.class);

    /**
     * How the rows of a part were written.
     *
     * @param input the file
     * @param name of the part
     * @param rows how many
     * @param digest of the rows of the input
     * @param settings digest of them
     * @param model digest of it
     * @param stacks that answered, each with its adapters as in {@link Answer#adapters}
     * @param bytes of the file
     * @param toRetry rows whose error may be gone next time
     * @param run in which it was written
     * @param stats figures of the rows
     */
    record Header(
            String input,
            String name,
            int rows,
            String digest,
            String settings,
            String model,
            Map<String, String> stacks,
            long bytes,
            int toRetry,
            String run,
            PartStats stats) {}

    /** Reads the ledgers of a part, and the journals of runs that ended before it was complete. */
    static PartLedger load(LabelStore store, Part part, Collection<Path> journals) {
        Map<String, Answer> answers = new HashMap<>();
        part.formerNames().forEach(name -> read(store, store.ledger(name), answers, true));
        Optional<Header> header = read(store, store.ledger(part.name()), answers, true);
        boolean pending =
                read(store, store.pendingLedger(part.name()), answers, true).isPresent();
        journals.forEach(journal -> read(store, journal, answers, false));
        return new PartLedger(pending ? Optional.empty() : header, answers);
    }

    /** The header alone. */
    static Optional<Header> header(LabelStore store, String part) {
        List<String> first = store.lines(store.ledger(part), 1);
        return first.isEmpty() ? Optional.empty() : header(first.get(0), store.ledger(part));
    }

    /** The answers to the rows in order. */
    static List<Answer> rows(LabelStore store, Header header) {
        return store.lines(store.ledger(header.name()), header.rows() + 1).stream()
                .skip(1)
                .map(line -> parse(line, Answer.class, store.ledger(header.name())))
                .flatMap(Optional::stream)
                .toList();
    }

    private static Optional<Header> read(LabelStore store, Path path, Map<String, Answer> answers, boolean withHeader) {
        Optional<Header> header = Optional.empty();
        List<String> lines = store.lines(path, Integer.MAX_VALUE);
        for (int i = 0; i < lines.size(); i++) {
            if (i == 0 && withHeader) {
                header = header(lines.get(0), path);
            } else {
                parse(lines.get(i), Answer.class, path)
                        .filter(answer -> answer.key() != null)
                        .ifPresent(answer -> answers.put(answer.key(), answer));
            }
        }
        return header;
    }

    private static Optional<Header> header(String line, Path path) {
        return parse(line, Header.class, path);
    }

    /** The last line of a journal is incomplete if the process ended while it was written. */
    private static <T> Optional<T> parse(String line, Class<T> type, Path path) {
        try {
            return Optional.of(Json.MAPPER.readValue(line, type));
        } catch (JsonProcessingException e) {
            LOG.info("A line of '{}' is incomplete and not used.", path);
            return Optional.empty();
        }
    }

    /** Whether the rows that are there are those that a run would write, so that it need not read the input. */
    boolean isUpToDate(Part part, LabelSettings settings, Identity identity, LabelStore store) {
        return header.filter(written -> written.digest().equals(part.digest())
                        && written.rows() == part.rows()
                        && written.settings().equals(settings.digest())
                        && written.model().equals(identity.modelDigest())
                        && written.toRetry() == 0
                        && written.bytes() == store.length(store.rows(part.name(), settings.format()))
                        && written.stacks().entrySet().stream().allMatch(stack -> stack.getValue()
                                .equals(identity.describe(AdapterStack.parse(stack.getKey())))))
                .isPresent();
    }

    @Nullable
    Answer known(String key) {
        return answers.get(key);
    }

    /** Writes a ledger: the header, the answers to the rows, then others for the case that they are asked for again. */
    static LabelStore.Content content(Header header, List<Answer> rows, Map<String, Answer> others) {
        return out -> {
            line(out, Json.write(header));
            Map<String, Answer> unused = new LinkedHashMap<>(others);
            for (Answer answer : rows) {
                line(out, Json.write(answer));
                unused.remove(String.valueOf(answer.key()));
            }
            int room = rows.size();
            for (Answer answer : unused.values()) {
                if (room-- <= 0) {
                    break;
                }
                line(out, Json.write(answer));
            }
        };
    }

    private static void line(OutputStream out, byte[] json) throws IOException {
        out.write(json);
        out.write('\n');
    }
}
