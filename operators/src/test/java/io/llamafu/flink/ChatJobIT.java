package io.llamafu.flink;

import io.llamafu.ErrorCode;
import io.llamafu.adapter.AdapterStack;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

import static org.assertj.core.api.Assertions.assertThat;

/** A job whose chat template writes the frame that the tiny model was trained on: RocksDB, a failure, refused records. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class ChatJobIT {
    private static final String TEMPLATE =
            "{% for m in messages %}{% if m.content[-1:] == '!' %}{{ raise_exception('It is loud.') }}"
                    + "{% endif %}### Text:\n{{ m.content }}\n### Answer:\n{% endfor %}";

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Jobs.cluster(4);

    @TempDir
    static Path folder;

    private final CommittedSink sink = CommittedSink.create();

    private static StreamExecutionEnvironment environment() {
        return Jobs.environment(Jobs.configuration(folder.resolve("checkpoints")), 2);
    }

    private static LlamafuOptions.Builder options() throws Exception {
        Path template = folder.resolve("notes.jinja");
        Files.writeString(template, TEMPLATE);
        return Notes.options()
                .promptTemplate("{text}")
                .chatTemplate(template.toUri().toString())
                .onError(OnError.EMIT);
    }

    private static boolean isLoud(String id) {
        return Integer.parseInt(id) % 10 == 3;
    }

    @Test
    void conversationsAreAnsweredOnceWhateverTheTemplateRefuses() throws Exception {
        int records = 200;
        FailOnce<Completion> failure = new FailOnce<>(completion -> Integer.parseInt(completion.getId()) > records / 2);
        StreamExecutionEnvironment environment = environment();
        Llamafu.complete(Jobs.ticketsByCheckpoint(environment, records, 20))
                .keyBy(Ticket::tenant)
                .id(Ticket::id)
                .prompt(ticket -> isLoud(ticket.id()) ? ticket.text() + "!" : ticket.text())
                .defaultRoute(AdapterStack.of("medical"))
                .with(options().build())
                .build()
                .map(failure)
                .sinkTo(sink);
        environment.execute();

        assertThat(failure.hasFailed()).isTrue();
        assertThat(sink.committed())
                .extracting(Completion::getId)
                .containsExactlyInAnyOrderElementsOf(Jobs.ids(records));
        int exact = 0;
        int answered = 0;
        for (Completion completion : sink.committed()) {
            if (isLoud(completion.getId())) {
                assertThat(completion.getErrorCode()).isEqualTo(ErrorCode.CHAT_TEMPLATE_FAILED.name());
                assertThat(completion.getError()).contains("It is loud.");
            } else {
                answered++;
                String text = Notes.text(Integer.parseInt(completion.getId()));
                exact += Notes.answer(text, "medical").equals(completion.getText()) ? 1 : 0;
            }
        }
        assertThat(exact).as("exact answers of %s", answered).isGreaterThanOrEqualTo(answered * 98 / 100);
    }
}
