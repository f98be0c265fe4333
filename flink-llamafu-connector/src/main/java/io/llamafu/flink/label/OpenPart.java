package io.llamafu.flink.label;

import io.llamafu.adapter.Sha256;
import org.apache.flink.core.fs.FSDataOutputStream;
import org.apache.flink.core.fs.Path;

import javax.annotation.Nullable;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;

/** A part whose rows are being answered. For the task's thread. */
final class OpenPart {
    private static final int LINES_OF_A_REMOTE_JOURNAL = 200;

    private final Part part;
    private final PartLedger ledger;
    private final LabelStore store;
    private final List<Path> journals;
    private final List<Object> records = new ArrayList<>();
    private final List<Answer> answers = new ArrayList<>();
    private final List<String> gold = new ArrayList<>();
    private final PartStats stats = new PartStats();
    private String schema = "";
    private int unanswered;
    private int toRetry;
    private boolean complete;

    @Nullable
    private FSDataOutputStream journal;

    private int journalLines;

    OpenPart(Part part, PartLedger ledger, LabelStore store, List<Path> journals) {
        this.part = part;
        this.ledger = ledger;
        this.store = store;
        this.journals = new ArrayList<>(journals);
    }

    Part part() {
        return part;
    }

    PartLedger ledger() {
        return ledger;
    }

    PartStats stats() {
        return stats;
    }

    int toRetry() {
        return toRetry;
    }

    String schema() {
        return schema;
    }

    List<Object> records() {
        return records;
    }

    List<Answer> answers() {
        return answers;
    }

    @Nullable
    String gold(int row) {
        return gold.get(row);
    }

    /** Adds a row whose answer is still to come, and returns its number, from 0. */
    int add(@Nullable Object record, @Nullable String goldLabel) {
        records.add(record);
        answers.add(null);
        gold.add(goldLabel);
        unanswered++;
        return records.size() - 1;
    }

    void settle(int row, Answer answer, boolean retry) {
        answers.set(row, answer);
        unanswered--;
        toRetry += retry ? 1 : 0;
    }

    /** All rows have been read. */
    void complete(String schemaOfRows) {
        schema = schemaOfRows;
        complete = true;
    }

    boolean isAnswered() {
        return complete && unanswered == 0;
    }

    /** Keeps an answer in case the process ends before the part is written. */
    void record(Answer answer) throws IOException {
        if (journal == null) {
            Path path = store.hidden("journal/%s.%s".formatted(journalName(part.name()), UUID.randomUUID()));
            journal = store.append(path);
            journals.add(path);
            journalLines = 0;
        }
        byte[] json = Json.write(answer);
        byte[] line = Arrays.copyOf(json, json.length + 1);
        line[json.length] = '\n';
        journal.write(line);
        journal.flush();
        journalLines++;
        // In many file systems a file is there only when it is closed.
        if (journalLines == LINES_OF_A_REMOTE_JOURNAL && !store.isLocal()) {
            closeJournal();
        }
    }

    void closeJournal() throws IOException {
        if (journal != null) {
            journal.close();
            journal = null;
        }
    }

    /** The part is written. */
    void dropJournals() throws IOException {
        closeJournal();
        journals.forEach(store::delete);
    }

    /** The beginning of the names of a part's journals, however long the name of the part is. */
    static String journalName(String part) {
        return Sha256.of(part);
    }
}
