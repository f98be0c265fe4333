package io.llamafu.flink.table;

import io.llamafu.flink.Notes;
import io.llamafu.testing.TinyModel;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/** Chat templates in SQL: one that writes the frame that the tiny model was trained on. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class SqlChatIT {
    private static final int NOTES = 12;

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Sql.cluster();

    @TempDir
    private Path folder;

    private String template() throws Exception {
        return Files.writeString(
                        folder.resolve("notes.jinja"),
                        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('No system prompt.') }}{% endif %}"
                                + TinyModel.prompt("{{ m.content }}").replace("\n", "{{ '\\n' }}") + "{% endfor %}")
                .toString();
    }

    private static Sql notes(Sql sql) {
        List<Row> rows = IntStream.range(0, NOTES)
                .mapToObj(id -> Row.of(id, Notes.text(id)))
                .toList();
        sql.env()
                .createTemporaryView(
                        "notes",
                        sql.env()
                                .fromValues(
                                        DataTypes.of("ROW<id INT, note STRING>").notNull(), rows));
        return sql;
    }

    @Test
    void functionsUseTheTemplateOfTheModuleOrOfTheCall() throws Exception {
        Sql sql = notes(new Sql(RuntimeExecutionMode.STREAMING)
                .loadModule("prompt-template", "{text}", "chat-template", template()));
        String frame = Sql.literal(TinyModel.prompt("{text}"));

        List<Row> rows = sql.rows(("SELECT id, LLM_COMPLETE(note, 'medical'),"
                        + " LLM_COMPLETE(note, 'medical', MAP['chat-template', 'none', 'prompt-template', %s]),"
                        + " LLM_TRY_COMPLETE(note, '', MAP['system-prompt', 'Be brief.']).error_code,"
                        + " LLM_TRY_COMPLETE(note, '', MAP['chat-template', '/etc/passwd']).error FROM notes")
                .formatted(frame));

        assertThat(rows).hasSize(NOTES).allSatisfy(row -> {
            String answer = Notes.answer(Notes.text(row.<Integer>getFieldAs(0)), "medical");
            assertThat(row.getField(1)).isEqualTo(answer);
            assertThat(row.getField(2)).isEqualTo(answer);
            assertThat(row.getField(3)).isEqualTo("CHAT_TEMPLATE_FAILED");
            assertThat(row.<String>getFieldAs(4)).contains("cannot set chat-template to '/etc/passwd'");
        });
    }

    @Test
    void modelsUseTheTemplateOfTheirOptions() throws Exception {
        Sql sql = notes(new Sql(RuntimeExecutionMode.STREAMING));
        sql.createModel(
                "chat", "text STRING", "answer STRING", "prompt-template", "{text}", "chat-template", template());

        List<Row> rows = sql.rows("SELECT * FROM ML_PREDICT(TABLE notes, MODEL chat, DESCRIPTOR(note))");

        assertThat(rows).hasSize(NOTES).allSatisfy(row -> assertThat(row.getField("answer"))
                .isEqualTo(Notes.answer(Notes.text(row.<Integer>getFieldAs("id")), "")));
    }
}
