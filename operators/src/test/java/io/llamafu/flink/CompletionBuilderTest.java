package io.llamafu.flink;

import io.llamafu.ErrorCode;
import io.llamafu.adapter.AdapterStack;
import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.api.common.typeinfo.TypeHint;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.graph.StreamNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class CompletionBuilderTest {
    private static final LlamafuOptions OPTIONS =
            LlamafuOptions.builder().model("/only-on-taskmanagers/base.gguf").build();

    @TempDir
    Path folder;

    private final StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(
            new Configuration().set(PipelineOptions.GENERIC_TYPES, false));
    private final DataStream<String> records = env.fromData("a", "b");
    private final DataStream<AdapterRoute> routes =
            env.fromData(TypeInformation.of(AdapterRoute.class), new AdapterRoute("a", "medical", null, null));

    private final DataStream<RouteRule> rules =
            env.fromData(TypeInformation.of(RouteRule.class), new RouteRule("r", "*", 0, "medical", null, null));

    private void assertRefused(ErrorCode code, String message, LlamafuOptions.Builder options) {
        assertThatThrownBy(() -> Llamafu.complete(records)
                        .prompt(text -> text)
                        .with(options.build())
                        .build())
                .hasMessageStartingWith(code + ": ")
                .hasMessageContaining(message);
    }

    /** What a path means on the TaskManagers shows when they open it; but its folder is here. */
    @Test
    void wrongFilesAreRefusedBeforeTheJobStarts() throws IOException {
        Path noModel = Files.writeString(folder.resolve("no-model.gguf"), "no model");

        assertRefused(
                ErrorCode.MODEL_NOT_FOUND,
                "other.gguf",
                LlamafuOptions.builder().model(folder.resolve("other.gguf").toString()));
        assertRefused(
                ErrorCode.MODEL_INVALID,
                "no-model.gguf",
                LlamafuOptions.builder().model(noModel.toUri().toString()));
        assertRefused(
                ErrorCode.INVALID_OPTION,
                "adapters is '",
                Notes.options().adapters(folder.resolve("none").toString()));
    }

    @Test
    void optionsThatDoNotFitTheModelAreRefusedBeforeTheJobStarts() {
        assertRefused(
                ErrorCode.OUT_OF_MEMORY,
                "memory-budget is 1024 bytes",
                Notes.options().memoryBudget(new MemorySize(1024)));
        assertRefused(
                ErrorCode.CHAT_TEMPLATE_INVALID,
                "chat-template is model",
                Notes.options().chatTemplate("model"));
        assertRefused(
                ErrorCode.CHAT_TEMPLATE_INVALID,
                "none.jinja",
                Notes.options().chatTemplate(folder.resolve("none.jinja").toString()));
        assertRefused(ErrorCode.INVALID_OPTION, "system-prompt", Notes.options().systemPrompt("Be brief."));
    }

    @Test
    void missingPartsAreNamedWithTheReason() {
        assertThatIllegalStateException()
                .isThrownBy(() -> Llamafu.complete(records).with(OPTIONS).build())
                .withMessageStartingWith("prompt(...) is missing: ");
        assertThatIllegalStateException()
                .isThrownBy(() -> Llamafu.complete(records).prompt(text -> text).build())
                .withMessageStartingWith("with(options) is missing: ");
        assertThatIllegalStateException()
                .isThrownBy(() -> Llamafu.complete(records)
                        .prompt(text -> text)
                        .with(OPTIONS)
                        .routes(routes)
                        .build())
                .withMessageStartingWith("keyBy(...) is missing: ");
        assertThatIllegalStateException()
                .isThrownBy(() -> Llamafu.complete(records)
                        .prompt(text -> text)
                        .with(OPTIONS)
                        .eventTime()
                        .build())
                .withMessageStartingWith("routes(...) is missing: ");
        assertThatIllegalStateException()
                .isThrownBy(() -> Llamafu.complete(records)
                        .prompt(text -> text)
                        .with(OPTIONS)
                        .rules(rules)
                        .build())
                .withMessageStartingWith("keyBy(...) is missing: ");
        assertThatIllegalStateException()
                .isThrownBy(() -> Llamafu.complete(records)
                        .keyBy(text -> text)
                        .prompt(text -> text)
                        .with(OPTIONS)
                        .rules(rules)
                        .routeTtl(Duration.ofDays(1))
                        .build())
                .withMessageStartingWith("routes(...) is missing: routeTtl");
        assertThatIllegalStateException()
                .isThrownBy(() -> Llamafu.complete(records)
                        .prompt(text -> text)
                        .with(OPTIONS)
                        .unknownAdapters(UnknownAdapters.REJECT_CHANGE)
                        .build())
                .withMessageStartingWith("routes(...) is missing: unknownAdapters");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Llamafu.complete(records).routeTtl(Duration.ZERO))
                .withMessageStartingWith("routeTtl is PT0S");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Llamafu.complete(records).capacity(0))
                .withMessageStartingWith("capacity is 0");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Llamafu.complete(records).affinity(1))
                .withMessageStartingWith("The load bound of the affinity is 1.0");
    }

    @Test
    void affinityAndOrderExcludeEachOther() {
        assertThatIllegalStateException()
                .isThrownBy(() -> Llamafu.complete(records)
                        .prompt(text -> text)
                        .with(OPTIONS)
                        .affinity(1.25)
                        .ordered()
                        .build())
                .withMessageStartingWith("affinity(...) and ordered() contradict: ");
    }

    @Test
    void uidsAreStable() {
        build("llamafu", false);
        build("second", true);

        assertThat(env.getStreamGraph().getStreamNodes())
                .extracting(StreamNode::getTransformationUID)
                .contains(
                        "llamafu-requests",
                        "llamafu-rule-check",
                        "llamafu-rules",
                        "llamafu-router",
                        "llamafu-completion",
                        "second-requests",
                        "second-rule-check",
                        "second-event-time-rules",
                        "second-event-time-router",
                        "second-completion");
    }

    /** So that all subtasks that keep the rules get them in one order. */
    @Test
    void rulesAreCheckedInOneSubtaskWhateverTheParallelism() {
        env.setParallelism(4);
        build("llamafu", false);
        build("second", true);

        assertThat(env.getStreamGraph().getStreamNodes())
                .filteredOn(node -> String.valueOf(node.getTransformationUID()).endsWith("-rule-check-in-one"))
                .hasSize(2)
                .allSatisfy(node -> {
                    assertThat(node.getParallelism()).isEqualTo(1);
                    assertThat(node.getMaxParallelism()).as("no rescale either").isEqualTo(1);
                });
    }

    @Test
    void everyRecordIsSerializedByAvro() {
        assertThat(build("llamafu", false).getType()).isEqualTo(new AvroTypeInfo<>(Completion.class));
        assertThat(TypeInformation.of(AdapterRoute.class)).isInstanceOf(AvroTypeInfo.class);
        assertThat(TypeInformation.of(Completion.class)).isInstanceOf(AvroTypeInfo.class);
        assertThat(TypeInformation.of(RouteRule.class)).isInstanceOf(AvroTypeInfo.class);
        assertThat(TypeInformation.of(RejectedRoute.class)).isInstanceOf(AvroTypeInfo.class);
    }

    @Test
    void answeredRecordsKeepTheirOwnType() throws Exception {
        TypeInformation<Answered<Ticket>> type = Answered.type(Types.POJO(Ticket.class));
        assertThat(TypeInformation.of(new TypeHint<Answered<Ticket>>() {})).isEqualTo(type);

        TypeSerializer<Answered<Ticket>> serializer = type.createSerializer(
                new SerializerConfigImpl(new Configuration().set(PipelineOptions.GENERIC_TYPES, false)));
        Answered<Ticket> answered = new Answered<>(
                new Ticket("1", "a", "text", 5),
                Completion.newBuilder().setId("1").setText("answer").build());
        DataOutputSerializer bytes = new DataOutputSerializer(64);
        serializer.serialize(answered, bytes);
        assertThat(serializer.deserialize(new DataInputDeserializer(bytes.getCopyOfBuffer())))
                .isEqualTo(answered);
        assertThat(serializer.copy(answered)).isEqualTo(answered);
    }

    @Test
    void streamsOfEveryKindAreTyped() {
        CompletionStreams<String> streams = Llamafu.complete(records)
                .keyBy(text -> text)
                .prompt(text -> text)
                .routes(routes)
                .rules(rules)
                .with(OPTIONS)
                .buildStreams();

        assertThat(streams.answered().getType()).isEqualTo(Answered.type(Types.STRING));
        assertThat(streams.deadLetters().getType()).isEqualTo(Answered.type(Types.STRING));
        assertThat(streams.rejectedRoutes().orElseThrow().getType()).isEqualTo(new AvroTypeInfo<>(RejectedRoute.class));
        assertThat(Llamafu.complete(records)
                        .prompt(text -> text)
                        .with(OPTIONS)
                        .buildStreams()
                        .rejectedRoutes())
                .isEmpty();
    }

    private DataStream<Completion> build(String uid, boolean eventTime) {
        CompletionBuilder<String> builder = Llamafu.complete(records)
                .keyBy(text -> text)
                .id(text -> text)
                .prompt(text -> text)
                .routes(routes)
                .rules(rules)
                .defaultRoute(AdapterStack.parse("medical"))
                .with(OPTIONS)
                .uid(uid);
        return (eventTime ? builder.eventTime().ordered() : builder.processingTime()).build();
    }
}
