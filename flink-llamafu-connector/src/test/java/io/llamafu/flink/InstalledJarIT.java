package io.llamafu.flink;

import org.apache.flink.api.common.serialization.SerializerConfigImpl;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.formats.avro.typeutils.AvroSerializer;
import org.apache.flink.util.InstantiationUtil;
import org.apache.flink.util.MutableURLClassLoader;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.jar.JarFile;
import java.util.zip.ZipEntry;

import static org.assertj.core.api.Assertions.assertThat;

/** The installed jar has everything that a Flink distribution lacks, and nothing that it has. */
class InstalledJarIT {
    private static final Path JAR = Path.of(System.getProperty("llamafu.jar"));
    private static final List<String> ROOMS = List.of("io/llamafu/", "org/apache/avro/", "META-INF/");

    private static List<String> names;

    @BeforeAll
    static void listEntries() throws IOException {
        try (JarFile jar = new JarFile(JAR.toFile())) {
            names = jar.stream()
                    .filter(entry -> !entry.isDirectory())
                    .map(ZipEntry::getName)
                    .toList();
        }
    }

    @Test
    void holdsTheApiTheEngineAndTheNativeLibrary() {
        assertThat(names)
                .contains(
                        "io/llamafu/flink/Llamafu.class",
                        "io/llamafu/flink/AdapterRoute.class",
                        "io/llamafu/flink/table/LlmComplete.class",
                        "io/llamafu/flink/table/LlamafuModule.class",
                        "io/llamafu/flink/label/LabelJob.class",
                        "io/llamafu/shaded/cronutils/parser/CronParser.class",
                        "io/llamafu/engine/InferenceEngine.class",
                        "io/llamafu/grammar/JsonSchemaGrammar.class",
                        "io/llamafu/shaded/jackson/databind/ObjectMapper.class",
                        "io/llamafu/llamacpp/LlamaCppEngine.class",
                        "io/llamafu/shaded/flink/avro/typeutils/AvroTypeInfo.class")
                .anyMatch(name -> name.matches("io/llamafu/native/[^/]+/[^/]+/libllamafu\\.so"))
                .anyMatch(name -> name.matches("io/llamafu/native/[^/]+/[^/]+/build\\.properties"));
    }

    @Test
    void announcesTheEngine() throws IOException {
        try (JarFile jar = new JarFile(JAR.toFile());
                InputStream service =
                        jar.getInputStream(jar.getJarEntry("META-INF/services/io.llamafu.engine.EngineProvider"))) {
            assertThat(new String(service.readAllBytes(), StandardCharsets.UTF_8))
                    .isEqualToIgnoringWhitespace("io.llamafu.llamacpp.LlamaCppEngineProvider");
        }
    }

    /** NOTICE lists the artifacts whose classes are in the jar, and no others; and llama.cpp. */
    @Test
    void noticeNamesEverythingInTheJar() throws IOException {
        Set<String> artifacts = new TreeSet<>();
        for (String name : names) {
            if (name.endsWith(".class") && (!name.startsWith("io/llamafu/") || name.startsWith("io/llamafu/shaded/"))) {
                artifacts.add(artifactOf(name));
            }
        }
        try (JarFile jar = new JarFile(JAR.toFile());
                InputStream notice = jar.getInputStream(jar.getJarEntry("META-INF/NOTICE"))) {
            String text = new String(notice.readAllBytes(), StandardCharsets.UTF_8);

            assertThat(text.lines()
                            .filter(line -> line.startsWith("- "))
                            .map(line -> line.replaceFirst("- [^:]+:([^:]+):([^:]+)", "$1-$2.jar")))
                    .containsExactlyInAnyOrderElementsOf(artifacts);
            assertThat(text)
                    .contains("Copyright (c) 2023-2026 The ggml authors", "Jackson JSON processor")
                    .containsOnlyOnce("compiled from llama.cpp");
        }
    }

    /** The file name of the artifact on the class path that a class comes from. */
    private static String artifactOf(String name) throws IOException {
        String original = name.replace("io/llamafu/shaded/jackson/", "com/fasterxml/jackson/")
                .replace("io/llamafu/shaded/cronutils/", "com/cronutils/")
                .replace("io/llamafu/shaded/flink/avro/", "org/apache/flink/formats/avro/");
        return Collections.list(InstalledJarIT.class.getClassLoader().getResources(original)).stream()
                .map(url -> url.getPath().replaceFirst(".*/([^/]+\\.jar)!.*", "$1"))
                .filter(jar -> !jar.equals(JAR.getFileName().toString()))
                .findFirst()
                .orElseThrow(() -> new AssertionError("Nothing on the class path has " + original));
    }

    /** They are artifacts of their own, which no TaskManager needs. */
    @Test
    void holdsNoOptionalEngineAndNoConverter() {
        assertThat(names)
                .noneMatch(name -> name.startsWith("io/llamafu/jllama/") || name.startsWith("io/llamafu/peft/"));
    }

    /** For LOAD MODULE and CREATE MODEL, and no other factory, such as Avro's as a table format. */
    @Test
    void announcesTheModuleAndTheModelProvider() throws IOException {
        try (JarFile jar = new JarFile(JAR.toFile());
                InputStream service = jar.getInputStream(
                        jar.getJarEntry("META-INF/services/org.apache.flink.table.factories.Factory"))) {
            assertThat(new String(service.readAllBytes(), StandardCharsets.UTF_8).lines())
                    .containsExactlyInAnyOrder(
                            "io.llamafu.flink.table.LlamafuModuleFactory",
                            "io.llamafu.flink.table.LlamafuModelProviderFactory");
        }
    }

    /**
     * No class of Flink, which could be mixed with those of a cluster; but Avro, with which other code writes our
     * records.
     */
    @Test
    void bringsNothingThatOthersCouldSee() {
        assertThat(names)
                .allMatch(name -> ROOMS.stream().anyMatch(name::startsWith))
                .filteredOn(name -> name.startsWith("META-INF/services/"))
                .containsExactlyInAnyOrder(
                        "META-INF/services/io.llamafu.engine.EngineProvider",
                        "META-INF/services/org.apache.flink.table.factories.Factory");
    }

    @Test
    void classesSeeTheRelocatedJackson() throws IOException {
        try (JarFile jar = new JarFile(JAR.toFile())) {
            for (String name : names) {
                try (InputStream content = jar.getInputStream(jar.getJarEntry(name))) {
                    if (name.endsWith(".class")) {
                        assertThat(new String(content.readAllBytes(), StandardCharsets.ISO_8859_1))
                                .as(name)
                                .doesNotContain("com/fasterxml");
                    }
                }
            }
        }
    }

    @Test
    void isSmall() throws IOException {
        assertThat(Files.size(JAR)).as("bytes").isLessThan(20_000_000);
    }

    /** Without Flink's Avro format on the class path. */
    @Test
    void recordsOfTheJarBringTheirSerializers() throws Exception {
        try (JobLoader loader = new JobLoader()) {
            TypeSerializer<Object> serializer = serializer(loader);
            assertThat(serializer.getClass().getName()).isEqualTo("io.llamafu.flink.records.RecordSerializer");

            Object route = serializer.createInstance();
            DataOutputSerializer written = new DataOutputSerializer(64);
            set(route, "Key", "acme");
            serializer.serialize(route, written);

            assertThat(serializer.deserialize(new DataInputDeserializer(written.getCopyOfBuffer())))
                    .hasToString("{\"key\": \"acme\", \"stack\": null, \"validFrom\": null, \"variants\": null}");
        }
    }

    /** They name a class of Flink's Avro format, which the jar contained at that time. */
    @Test
    void savepointsOfEarlierVersionsAreReadWithoutAnyAvroOfFlink() throws Exception {
        AvroSerializer<AdapterRoute> earlier = new AvroSerializer<>(AdapterRoute.class);
        DataOutputSerializer savepoint = new DataOutputSerializer(64);
        TypeSerializerSnapshot.writeVersionedSnapshot(savepoint, earlier.snapshotConfiguration());
        earlier.serialize(new AdapterRoute("acme", "medical", 7L, null), savepoint);
        try (JobLoader loader = new JobLoader()) {
            TypeSerializer<Object> serializer = serializer(loader);
            // As a task does before it restores its state.
            TypeSerializer<Object> ofTask = inContext(
                    loader,
                    () -> InstantiationUtil.deserializeObject(InstantiationUtil.serializeObject(serializer), loader));
            DataInputDeserializer in = new DataInputDeserializer(savepoint.getCopyOfBuffer());
            TypeSerializerSnapshot<Object> before = TypeSerializerSnapshot.readVersionedSnapshot(in, loader);

            assertThat(ofTask.snapshotConfiguration()
                            .resolveSchemaCompatibility(before)
                            .isCompatibleAsIs())
                    .isTrue();
            assertThat(before.restoreSerializer().deserialize(in))
                    .hasToString("{\"key\": \"acme\", \"stack\": \"medical\", \"validFrom\": 7, \"variants\": null}");
        }
    }

    private static <V> V inContext(ClassLoader loader, Callable<V> action) throws Exception {
        ClassLoader before = Thread.currentThread().getContextClassLoader();
        Thread.currentThread().setContextClassLoader(loader);
        try {
            return action.call();
        } finally {
            Thread.currentThread().setContextClassLoader(before);
        }
    }

    @SuppressWarnings("unchecked") // the record is known by name only
    private static TypeSerializer<Object> serializer(ClassLoader loader) throws Exception {
        Class<Object> route = (Class<Object>) Class.forName("io.llamafu.flink.AdapterRoute", true, loader);
        return TypeInformation.of(route).createSerializer(new SerializerConfigImpl());
    }

    private static void set(Object record, String field, String value) throws ReflectiveOperationException {
        record.getClass().getMethod("set" + field, String.class).invoke(record, value);
    }

    /** The class loader of a job in a cluster that has only Flink. */
    private static final class JobLoader extends MutableURLClassLoader {
        JobLoader() throws IOException {
            super(new URL[] {JAR.toUri().toURL()}, new OnlyFlink());
        }

        @Override
        public MutableURLClassLoader copy() {
            throw new UnsupportedOperationException("Nobody copies it.");
        }
    }

    private static final class OnlyFlink extends ClassLoader {
        OnlyFlink() {
            super(TypeInformation.class.getClassLoader());
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (name.startsWith("io.llamafu.")
                    || name.startsWith("org.apache.avro.")
                    || name.startsWith("org.apache.flink.formats.avro.")) {
                throw new ClassNotFoundException(name);
            }
            return super.loadClass(name, resolve);
        }
    }
}
