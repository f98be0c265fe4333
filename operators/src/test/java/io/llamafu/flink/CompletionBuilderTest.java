package io.llamafu.flink;

import io.llamafu.adapter.AdapterStack;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.graph.StreamNode;
import org.junit.jupiter.api.Test;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

class CompletionBuilderTest {
    private static final LlamafuOptions OPTIONS =
            LlamafuOptions.builder().model("base.gguf").build();

    private final StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(
            new Configuration().set(PipelineOptions.GENERIC_TYPES, false));
    private final DataStream<String> records = env.fromData("a", "b");
    private final DataStream<AdapterRoute> routes =
            env.fromData(TypeInformation.of(AdapterRoute.class), new AdapterRoute("a", "medical", null));

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
                        "llamafu-router",
                        "llamafu-completion",
                        "second-requests",
                        "second-event-time-router",
                        "second-completion");
    }

    @Test
    void everyRecordIsSerializedByAvro() {
        assertThat(build("llamafu", false).getType()).isEqualTo(new AvroTypeInfo<>(Completion.class));
        assertThat(TypeInformation.of(AdapterRoute.class)).isInstanceOf(AvroTypeInfo.class);
        assertThat(TypeInformation.of(Completion.class)).isInstanceOf(AvroTypeInfo.class);
    }

    private DataStream<Completion> build(String uid, boolean eventTime) {
        CompletionBuilder<String> builder = Llamafu.complete(records)
                .keyBy(text -> text)
                .id(text -> text)
                .prompt(text -> text)
                .routes(routes)
                .defaultRoute(AdapterStack.parse("medical"))
                .with(OPTIONS)
                .uid(uid);
        return (eventTime ? builder.eventTime().ordered() : builder.processingTime()).build();
    }
}
