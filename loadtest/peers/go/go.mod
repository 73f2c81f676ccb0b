module weft/loadtest/peers/go

go 1.19
