import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.eventfold.BankServer;
import dev.eventfold.EventfoldClient;
import dev.eventfold.Fold;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Collections;
import org.junit.jupiter.api.Test;

/** Goal: the example keeps its word: no race overdraws an account. Method: a real server. */
class BankTest {
    @Test
    void twoRacesEndAsTheyMust() throws Exception {
        List<String> said = Collections.synchronizedList(new ArrayList<>());
        try (BankServer server = new BankServer();
                EventfoldClient store = EventfoldClient.connect(server.address())) {
            Bank bank = new Bank(store, Fold.file(server.fold()), said::add);
            assertEquals(List.of(new Bank.Race(2, 3), new Bank.Race(1, 3)), bank.run());
        }
        assertTrue(said.contains("  2 of 2 succeeded after 3 decisions; the balance is 40"), () ->
                String.join("\n", said));
        assertTrue(said.stream().anyMatch(line -> line.contains("gets nothing")));
    }

    @Test
    void whatIsDecidedNeedsNoStore() {
        Bank.Account open = new Bank.Account(true, Optional.of("u"), BigDecimal.TEN);
        assertEquals(1, Bank.withdraw(BigDecimal.TEN).apply(open).size());
        assertThrows(
                Bank.Refused.class, () -> Bank.withdraw(new BigDecimal("10.01")).apply(open));
        assertThrows(Bank.Refused.class, () -> Bank.deposit(BigDecimal.ZERO).apply(open));
        assertEquals(List.of(), Bank.openAccount("u").apply(open));
        Bank.Account none = new Bank.Account(false, Optional.empty(), BigDecimal.ZERO);
        assertThrows(Bank.Refused.class, () -> Bank.deposit(BigDecimal.ONE).apply(none));
    }
}
