package io.llamafu.examples;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/** The small examples on the trained notes, as users run them. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class NotesExamplesIT {
    @TempDir
    private Path folder;

    @Test
    void stackGivesTheAnswerOfBothAdapters() throws Exception {
        NotesReport report = run(new StackingExample());

        assertThat(report.isSound()).as("%s", report).isTrue();
        assertThat(report.rows())
                .extracting(NotesReport.Row::stack)
                .containsExactly("medical", "formal", "medical+formal");
        assertThat(report.rows()).allSatisfy(row -> assertThat(row.notes()).isEqualTo(60));
        assertThat(report.text())
                .contains("routine", "It is hereby noted that this concerns")
                .endsWith(JsonLines.write(report));
    }

    @Test
    void scaleIsAFieldOfTheRecord() throws Exception {
        NotesReport report = run(new DynamicScalingExample());

        assertThat(report.isSound()).as("%s", report).isTrue();
        assertThat(report.rows()).hasSize(3).extracting(NotesReport.Row::answer).doesNotHaveDuplicates();
    }

    @Test
    void errorsMakeAnExampleFail() throws Exception {
        NotesReport report = run(new StackingExample(), "--stack=medical", "--adapters=" + folder);

        assertThat(report.missing()).isEqualTo(60);
        assertThat(report.isSound()).isFalse();
    }

    private static NotesReport run(NotesExample example, String... arguments) throws Exception {
        new CommandLine(example).parseArgs(arguments);
        return example.run();
    }
}
