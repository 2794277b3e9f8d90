"""The PIX rail: charges, receipts, codes, keys and the banks behind them (pix-rail.md, pix-api.md)."""
