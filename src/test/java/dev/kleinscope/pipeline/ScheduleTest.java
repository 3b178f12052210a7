package dev.kleinscope.pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.kleinscope.Reference;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

class ScheduleTest {

    @Test
    void everyScheduleAgreesWithThePeer() {
        JsonNode rows = Reference.json("schedules.json");
        assertTrue(rows.size() > 10, "schedules to compare: " + rows.size());
        for (JsonNode row : rows) {
            String what = row.path("image_seq_len") + " tokens, " + row.path("steps") + " steps";
            Schedule schedule = Schedule.of(row.path("image_seq_len").asLong(), row.path("steps").asInt());
            assertEquals(row.path("mu").asDouble(), schedule.mu(), 1e-9, what);
            assertEquals(row.path("sigmas").size(), schedule.sigmas().length, what);
            for (int i = 0; i < schedule.sigmas().length; i++) {
                assertEquals(row.path("sigmas").path(i).asDouble(), schedule.sigmas()[i], 1e-6, what + ", sigma " + i);
            }
            for (int i = 0; i < schedule.steps(); i++) {
                assertEquals(row.path("timesteps").path(i).asDouble(), schedule.timestep(i), 1e-3, what + ", timestep " + i);
            }
        }
    }
}
