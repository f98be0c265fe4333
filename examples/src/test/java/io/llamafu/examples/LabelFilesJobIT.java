package io.llamafu.examples;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.Completion;
import org.apache.avro.file.DataFileReader;
import org.apache.avro.file.DataFileWriter;
import org.apache.avro.specific.SpecificData;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.avro.specific.SpecificDatumWriter;
import org.apache.parquet.avro.AvroParquetReader;
import org.apache.parquet.avro.AvroParquetWriter;
import org.apache.parquet.hadoop.ParquetReader;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.io.LocalInputFile;
import org.apache.parquet.io.LocalOutputFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import picocli.CommandLine;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** The labelling job as a scheduler runs it. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class LabelFilesJobIT {
    private static final Path EXAMPLES = Path.of(System.getProperty("llamafu.examples"));

    @TempDir
    Path folder;

    @ParameterizedTest
    @EnumSource
    void everyTicketIsLabelledOnceUnderTheRouteOfItsTime(LabelFileFormat format) throws Exception {
        List<Ticket> tickets = firstTickets(300);
        // Two files, read by different subtasks.
        Path input = Files.createDirectory(folder.resolve("input"));
        write(format, input.resolve("a"), tickets.subList(0, 150));
        write(format, input.resolve("b"), tickets.subList(150, 300));
        Path output = folder.resolve("output");

        LabelReport report = job(
                        input.toString(),
                        output.toString(),
                        "--format=" + format,
                        "--routes=" + EXAMPLES.resolve("data/routes.jsonl"))
                .run();

        assertThat(report.errors()).isZero();
        assertThat(report.completions()).isEqualTo(300);
        List<Answer> answers = read(format, output).stream().map(Answer::of).toList();
        assertThat(answers)
                .extracting(Answer::id)
                .containsExactlyInAnyOrderElementsOf(
                        tickets.stream().map(Ticket::id).toList());
        RoutingReport scores = RoutingReport.of(tickets, answers, Duration.ZERO);
        assertThat(scores.isSound()).as("%s", scores).isTrue();
        assertThat(scores.exactMatch()).isGreaterThanOrEqualTo(0.97);
    }

    @Test
    void withoutRoutesOneStackLabelsAll() throws Exception {
        Path output = folder.resolve("output");

        LabelReport report = job(
                        jsonLines(firstTickets(20)).toString(),
                        output.toString(),
                        "--format=avro",
                        "--stack=legal+formal")
                .run();

        assertThat(report.completions()).isEqualTo(20);
        assertThat(read(LabelFileFormat.AVRO, output))
                .map(Answer::of)
                .allMatch(answer -> answer.answeredUnder(AdapterStack.parse("legal+formal")));
    }

    @Test
    void schedulerSeesErrorsInTheExitCode() throws Exception {
        String input = jsonLines(firstTickets(5)).toString();

        assertThat(exitCode(input, folder.resolve("good").toString(), "--format=avro"))
                .isZero();
        assertThat(exitCode(input, folder.resolve("bad").toString(), "--format=avro", "--stack=no-such-adapter"))
                .isEqualTo(1);
        assertThat(read(LabelFileFormat.AVRO, folder.resolve("bad")))
                .hasSize(5)
                .allMatch(completion -> completion.getErrorCode().equals("ADAPTER_NOT_FOUND"));
        assertThat(exitCode(input)).isEqualTo(2);
    }

    @Test
    void outputIsNotMixedWithThatOfAnEarlierRun() throws Exception {
        Files.writeString(folder.resolve("completions-old.avro"), "");
        LabelFilesJob job = job(jsonLines(firstTickets(5)).toString(), folder.toString(), "--format=avro");

        assertThatThrownBy(job::run).isInstanceOf(IOException.class).hasMessageContaining("is not empty");
    }

    private static LabelFilesJob job(String... arguments) {
        LabelFilesJob job = new LabelFilesJob();
        new CommandLine(job).setCaseInsensitiveEnumValuesAllowed(true).parseArgs(arguments);
        return job;
    }

    private static int exitCode(String... arguments) {
        return new CommandLine(new LabelFilesJob())
                .setCaseInsensitiveEnumValuesAllowed(true)
                .execute(arguments);
    }

    private static List<Ticket> firstTickets(int count) throws IOException {
        return JsonLines.of(Ticket.class)
                .readAll(EXAMPLES.resolve("data/tickets.jsonl"))
                .subList(0, count);
    }

    private Path jsonLines(List<Ticket> tickets) throws IOException {
        return Files.write(
                folder.resolve("tickets.jsonl"),
                tickets.stream().map(JsonLines::write).toList());
    }

    private static void write(LabelFileFormat format, Path file, List<Ticket> tickets) throws IOException {
        switch (format) {
            case AVRO -> {
                try (DataFileWriter<TicketRecord> out =
                        new DataFileWriter<>(new SpecificDatumWriter<>(TicketRecord.class))) {
                    out.create(TicketRecord.getClassSchema(), file.toFile());
                    for (Ticket ticket : tickets) {
                        out.append(ticket.toRecord());
                    }
                }
            }
            case PARQUET -> {
                try (ParquetWriter<TicketRecord> out = AvroParquetWriter.<TicketRecord>builder(
                                new LocalOutputFile(file))
                        .withSchema(TicketRecord.getClassSchema())
                        .withDataModel(SpecificData.get())
                        .build()) {
                    for (Ticket ticket : tickets) {
                        out.write(ticket.toRecord());
                    }
                }
            }
        }
    }

    private static List<Completion> read(LabelFileFormat format, Path folder) throws IOException {
        List<Completion> completions = new ArrayList<>();
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.toList()) {
                assertThat(file.getFileName().toString())
                        .startsWith("completions")
                        .endsWith(format.suffix());
                switch (format) {
                    case AVRO -> {
                        try (DataFileReader<Completion> in =
                                new DataFileReader<>(file.toFile(), new SpecificDatumReader<>(Completion.class))) {
                            in.forEach(completions::add);
                        }
                    }
                    case PARQUET -> {
                        try (ParquetReader<Completion> in = AvroParquetReader.<Completion>builder(
                                        new LocalInputFile(file))
                                .withDataModel(SpecificData.get())
                                .build()) {
                            for (Completion next = in.read(); next != null; next = in.read()) {
                                completions.add(next);
                            }
                        }
                    }
                }
            }
        }
        return completions;
    }
}
