package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.CompletionBuilder;
import io.llamafu.flink.Llamafu;
import io.llamafu.flink.OnError;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Asks the notes about health whose right answers are known, each in several ways, in one job. */
abstract class NotesExample implements ExampleCommand<NotesReport> {
    private static final String SUBJECT = "medical/";

    @Option(
            names = "--notes",
            paramLabel = "FILE",
            defaultValue = "${sys:llamafu.examples:-examples}/models/golden.jsonl",
            description = "Notes with the right answers under each stack.")
    private Path notes;

    @Mixin
    private final ModelOptions model = new ModelOptions();

    /** What is asked of a note, and by which stack the answer should come. */
    record Way(NoteQuestion question, AdapterStack effective) {}

    /** The ways to ask a note; their number is that of the rows of the report. */
    abstract List<Way> waysToAsk(String text);

    /** How the job gets the stack of a record. */
    abstract CompletionBuilder<NoteQuestion> choose(CompletionBuilder<NoteQuestion> completions);

    @Override
    public NotesReport run() throws Exception {
        ModelOptions.requireReadable(List.of(notes));
        model.requireReadable();
        List<NoteQuestion> questions = new ArrayList<>();
        List<NotesReport.Expected> expected = new ArrayList<>();
        for (GoldenNote note : JsonLines.of(GoldenNote.class).readAll(notes)) {
            if (note.set().startsWith(SUBJECT)) {
                for (Way way : waysToAsk(note.text())) {
                    questions.add(way.question());
                    expected.add(new NotesReport.Expected(note.text(), way.effective(), note.answer(way.effective())));
                }
            }
        }
        CompletionBuilder<NoteQuestion> completions = Llamafu.complete(
                        LocalJob.environment().fromData(questions))
                .prompt(NoteQuestion::text)
                .with(model.toLlamafuOptions(OnError.EMIT))
                .ordered();
        List<Answer> answers =
                LocalJob.answersOf(choose(completions).build(), getClass().getSimpleName(), questions.size());
        return NotesReport.of(expected, answers);
    }
}
